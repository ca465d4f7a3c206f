"""What hospitals' systems are told of a patient on the way, and what they answer; HL7 v2, MLLP.

Pure: `er7`, `messages`, `inbound`, `backlog`, `fhir`. Wires: `mllp`, `delivery`, `listener`.
"""
