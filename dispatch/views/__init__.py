"""Folds of the state for people: what each screen is shown, and who may see it. Pure."""
