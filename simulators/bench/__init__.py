"""Measuring, and testing, one whole machine from the outside: real SIP, MQTT, MLLP, browsers."""
