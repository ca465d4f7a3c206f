"""A simulated telephone operator: whose number it is, text messages, phones' locations."""
