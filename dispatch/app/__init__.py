"""The only place that wires things: settings, sequencer, effects, roles, command line."""
