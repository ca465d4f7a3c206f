"""A real pair in networks of its own: two machines, a witness and a client, each in a network
namespace, and faults as they happen: cut wires, lost packets, killed and frozen processes, slow
and full disks, wrong clocks.

Needs Linux, root, `ip` and `iptables`; `nets.refusal()` says what is missing.
"""
