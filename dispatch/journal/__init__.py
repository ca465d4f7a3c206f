"""The log: one stream of sealed records, its engines, its snapshot, and how it is verified."""
