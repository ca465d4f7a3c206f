"""The pair: which of two machines writes, and what happens when one dies.

The rules are without I/O: `voter` (who holds the lease, who is in sync) and `keeper` (when a
machine may write, must stop, may take over). `witness`, `link`, `replication` and `machine` carry
them out. Not in service yet: no setting of `dispatch120 run` starts a second machine. The rest of
the house is made for it: every record, effect, order and mission carries the epoch of its writer,
and who acts outside refuses an older one.
"""
