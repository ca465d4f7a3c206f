"""What hospitals' systems are told of a patient on the way, and what they answer; HL7 v2, MLLP.

`er7`, `messages`, `inbound` and `backlog` are pure; `mllp`, `delivery` and `listener` are wires.
"""
