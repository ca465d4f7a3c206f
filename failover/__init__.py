"""The pair: which of two machines writes, and what happens when one dies.

Not in service yet: one machine runs, and no setting starts a second. What is here are rules
without I/O: `voter` (who holds the lease, who is in sync) and `keeper` (when a machine may write,
must stop, may take over). What carries them out is not here: no process, no link between machines,
no witness, no replication, no switchover. The rest of the house is made for it: every record,
effect, order and mission carries the epoch of its writer; who acts outside refuses an older one.
"""
