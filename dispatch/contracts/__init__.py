"""What every room may speak of: ids, words, events, commands, effects, ports.

Nothing here does anything. It imports msgspec and the standard library only, so that any process,
in any role, can read the journal and speak to its neighbours.
"""
