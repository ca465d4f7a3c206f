"""Hospital information systems that speak real MLLP: they register, number and misbehave."""
