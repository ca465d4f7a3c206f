"""Who hears whom, in every combination."""

import itertools

from telephony.mixing import (
    ANNOUNCEMENT,
    BEAT,
    CALLER,
    LISTEN,
    MODES,
    MUSIC,
    SEAT,
    TALK,
    WHISPER,
    Scene,
    wires,
)


def heard_by(sink: str, scene: Scene) -> set[str]:
    return {source for source, end in wires(scene) if end == sink}


def test_a_plain_call_joins_two() -> None:
    assert wires(Scene()) == {(CALLER, SEAT), (SEAT, CALLER)}
    assert wires(Scene(seat=False)) == set()
    assert wires(Scene(announcing=True, beating=True)) == {(ANNOUNCEMENT, CALLER)}


def test_modes_say_who_hears_a_party() -> None:
    scene = Scene(parties={"t": TALK, "l": LISTEN, "w": WHISPER})
    assert heard_by(CALLER, scene) == {SEAT, "t"}
    assert heard_by(SEAT, scene) == {CALLER, "t", "w"}
    assert heard_by("t", scene) == {CALLER, SEAT}
    assert heard_by("l", scene) == heard_by("w", scene) == {CALLER, SEAT, "t"}


def test_what_holds_in_every_combination() -> None:
    switches = itertools.product((True, False), repeat=5)
    parties = [dict(zip("ab", modes, strict=False)) for modes in itertools.product(MODES, MODES)]
    for (caller, seat, held, muted, beating), modes in itertools.product(switches, parties):
        scene = Scene(
            caller=caller, seat=seat, held=held, muted=muted, beating=beating, parties=modes
        )
        found = wires(scene)
        assert all(source != sink for source, sink in found)
        people = {CALLER, SEAT, *modes}
        if not caller:
            assert not any(CALLER in pair for pair in found)
        if held and caller:
            assert heard_by(CALLER, scene) == {MUSIC}
            assert not any(source == CALLER for source, _ in found)
        if muted:
            assert not any(source == SEAT for source, _ in found)
        for party, mode in modes.items():
            ears = {sink for source, sink in found if source == party}
            if mode == LISTEN:
                assert ears == set()
            if mode == WHISPER:
                assert ears == ({SEAT} if seat else set())
        assert any(source == BEAT for source, _ in found) is beating
        assert {sink for _, sink in found} <= people


def test_a_caller_whose_seat_is_dialled_again_hears_music_or_whoever_else_talks() -> None:
    assert wires(Scene(seat=False, seat_away=True)) == {(MUSIC, CALLER)}
    assert wires(Scene(seat=False, seat_away=True, parties={"l": LISTEN})) == {(MUSIC, CALLER)}
    talked_to = wires(Scene(seat=False, seat_away=True, parties={"t": TALK}))
    assert talked_to == {("t", CALLER), (CALLER, "t")}
