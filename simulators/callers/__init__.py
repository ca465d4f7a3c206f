"""Simulated callers and seat phones that really speak SIP."""
