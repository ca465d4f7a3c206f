"""The telephony gateway: Kamailio in front, PJSUA2 workers, their supervisor, and its client."""
