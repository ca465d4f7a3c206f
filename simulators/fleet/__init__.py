"""A fleet that really publishes: drives on roads, presses keys, and loses its network."""
