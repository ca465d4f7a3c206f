"""The screens' server: sessions, commands, live deltas, look-ups, recordings, files."""
