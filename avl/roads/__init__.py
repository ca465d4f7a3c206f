"""The road network: its arrays, how it is made, and travel times on it."""
