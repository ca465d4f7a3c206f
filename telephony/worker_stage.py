"""How far an emergency call in a worker is."""

import enum


class Stage(enum.Enum):
    """RINGING until it is answered; HELD while nobody is with the caller."""

    RINGING = "ringing"
    HELD = "held"
    DIALLING_SEAT = "dialling_seat"
    DIALLING_NUMBER = "dialling_number"
    JOINED = "joined"
    ENDING = "ending"
