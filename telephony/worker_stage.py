"""How far an emergency call in a worker is."""

import enum


class Stage(enum.Enum):
    """RINGING until it is answered; HELD while nobody is with the caller. ASKED: a seat's phone has
    dialled, and nobody has said yet that its number may be called.
    """

    RINGING = "ringing"
    ASKED = "asked"
    HELD = "held"
    DIALLING_SEAT = "dialling_seat"
    DIALLING_NUMBER = "dialling_number"
    JOINED = "joined"
    ENDING = "ending"
