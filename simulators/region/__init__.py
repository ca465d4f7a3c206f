"""A synthetic region around the real towns of Bayingolin, seeded: the same seed, the same bytes."""
