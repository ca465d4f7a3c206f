"""Protocols as data, and the engine that turns complaint and answers into a verdict. Pure."""
