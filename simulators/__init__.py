"""A simulated region around the real thing: everybody speaks the real protocols."""
