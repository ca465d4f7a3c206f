"""The core that decides: pure functions over an immutable state, one room a subject."""
