"""The pair: which of two machines writes, and what happens when one dies.

Nothing of the mechanism is here yet: no voter, no lease, no witness, no switchover, no in-sync set.
This room holds its place in the layers until then. What the rest of the house does for it already:
every record, effect, order and mission carries the epoch of its writer, and the journal, the gateway
and the vehicles' service refuse an older one.
"""
