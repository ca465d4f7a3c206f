"""The region pack: register, places, roads and base map in one folder, and the search over it."""
