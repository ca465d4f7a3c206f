"""The journal's alarms of the pair are what the machines find, each its own."""

from dispatch.app.pair_alarms import pair_alarms_due
from dispatch.contracts.commands import ClearAlarm, RaiseAlarm


def due(found: set[str], standing: set[str], *, writes: bool) -> set[str]:
    commands = pair_alarms_due(found=found, standing=standing, writes=writes, node="a")
    return {
        f"+{c.code}" if isinstance(c, RaiseAlarm) else f"-{c.code}"
        for c in commands
        if isinstance(c, RaiseAlarm | ClearAlarm)
    }


def test_the_writer_raises_and_clears_its_own() -> None:
    found = {"no_standby", "channel_silent/lan", "channel_silent/cross", "witness_away"}
    assert due(found, set(), writes=True) == {f"+{code}" for code in found}
    assert due(set(), found, writes=True) == {f"-{code}" for code in found}
    assert due(found, found, writes=True) == set()
    assert due(set(), {"mqtt_away", "feed_failed/1"}, writes=True) == set()


def test_the_standby_raises_its_trouble_under_its_own_name_and_touches_no_other() -> None:
    found = {"witness_away", "disk_low", "channel_silent/lan"}
    wanted = {"+standby_trouble/witness_away", "+standby_trouble/disk_low"}
    assert due(found, {"no_standby", "witness_away"}, writes=False) == wanted
    standing = {"standby_trouble/witness_away", "witness_away"}
    assert due(set(), standing, writes=False) == {"-standby_trouble/witness_away"}


def test_the_writer_clears_what_a_standby_that_is_gone_cannot() -> None:
    standing = {"standby_trouble/witness_away", "no_standby"}
    assert due({"no_standby"}, standing, writes=True) == {"-standby_trouble/witness_away"}
    assert due(set(), {"standby_trouble/witness_away"}, writes=True) == set()
