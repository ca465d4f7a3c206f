"""Who goes where: units to an incident, a patient to a hospital. Pure; times are arguments."""
