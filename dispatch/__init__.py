"""The dispatch core: contracts, decisions, allocation, views, journal, feeds, and their wiring."""
