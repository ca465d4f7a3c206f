"""A pair and its witness on a virtual clock: the real protocol, everything else a model, all faults
from one seed.

`python -m simulators.pair --seed N` replays one run. What is modelled: two machines with their logs
and disks, replication, two channels and the witness's link, clients that retry, effects outside.
"""
