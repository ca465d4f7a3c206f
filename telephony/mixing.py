"""Who hears whom in one call. Pure: the worker only carries out the difference.

A source and a sink are names: `caller`, `seat`, a party's id, and the sounds `announcement`,
`music` and `beat`.
"""

from collections.abc import Mapping

import msgspec

CALLER = "caller"
SEAT = "seat"
ANNOUNCEMENT = "announcement"
MUSIC = "music"
BEAT = "beat"
SOUNDS = (ANNOUNCEMENT, MUSIC, BEAT)

TALK = "talk"
LISTEN = "listen"
WHISPER = "whisper"
MODES = (TALK, LISTEN, WHISPER)
"""What a party may be: heard by everybody, by nobody, by the seat alone."""

Wire = tuple[str, str]
"""From a source to a sink."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a call is like now. `caller` and `seat` say whether that side is up; `parties` are the
    further ones that are up, by id, with their modes.
    """

    caller: bool = True
    seat: bool = True
    parties: Mapping[str, str] = {}
    announcing: bool = False
    seat_away: bool = False
    """Its phone is being dialled again: a caller who would be alone hears music."""
    held: bool = False
    muted: bool = False
    beating: bool = False


def wires(scene: Scene) -> frozenset[Wire]:
    """All connections that there shall be.

    A held caller hears music and nobody, and nobody hears him; the others go on with each other.
    While the announcement plays, nobody is joined yet.
    """
    if scene.announcing:
        return frozenset({(ANNOUNCEMENT, CALLER)} if scene.caller else set())
    hearers = ([SEAT] if scene.seat else []) + list(scene.parties)
    talkers = [party for party, mode in scene.parties.items() if mode == TALK]
    if scene.seat and not scene.muted:
        talkers.append(SEAT)
    found: set[Wire] = set()
    alone = scene.seat_away and TALK not in scene.parties.values()
    if scene.caller and (scene.held or alone):
        found.add((MUSIC, CALLER))
    elif scene.caller:
        hearers.append(CALLER)
        talkers.append(CALLER)
    found |= {(talker, hearer) for talker in talkers for hearer in hearers if talker != hearer}
    if scene.seat:
        found |= {(party, SEAT) for party, mode in scene.parties.items() if mode == WHISPER}
    if scene.beating:
        found |= {(BEAT, hearer) for hearer in hearers}
    return frozenset(found)
