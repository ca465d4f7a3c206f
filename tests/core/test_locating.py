"""Where callers are: phones' locations joined by number, links by text message, subscribers."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import effects as ef
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallId
from dispatch.contracts.things import Location, Position, Subscriber
from dispatch.contracts.words import LocationSource
from dispatch.core.check import check_state
from dispatch.core.locating import better, digits
from dispatch.core.state import decode_state, encode_state
from dispatch.views.queue import call_view
from tests.core.story import HERE, SEAT, Story, effects_since

NUMBER = "13900000001"


def at(
    accuracy_m: float | None, source: LocationSource = LocationSource.AML, lat: float = 41.75
) -> Location:
    return Location(position=Position(lat=lat, lon=86.14), source=source, accuracy_m=accuracy_m)


def aml(location: Location, number: str = NUMBER) -> cmd.LocateCaller:
    return cmd.LocateCaller(number=number, location=location)


def refused(story: Story, command: cmd.AnyCommand, code: str) -> None:
    with pytest.raises(CommandRefused) as caught:
        story.do(command)
    assert caught.value.code == code


def test_a_phones_location_finds_its_call_and_places_the_incident() -> None:
    story = Story().seat()
    call_id = story.ring(number=NUMBER)
    before = story.state
    assert story.types(aml(at(12), "+86 139-0000-0001")) == [
        "CallerLocated",
        "IncidentOpened",
        "CallLinked",
        "LocationSet",
    ]
    call = story.state.calls[call_id]
    assert call.location == at(12)
    assert story.state.incidents[call.incident_id].location == at(12)
    assert [type(e) for e in effects_since(before, story)] == [ef.RankUnits]
    check_state(story.state)


def test_a_location_that_comes_before_its_call_waits_for_it() -> None:
    story = Story().seat()
    assert story.types(aml(at(12))) == ["NumberLocated"]
    assert story.types(aml(at(12))) == []
    call_id = story.ring(number="013900000001")
    assert story.state.calls[call_id].location == at(12)
    assert not story.state.located
    other = story.ring(ref="r2", number="13900000002")
    assert story.state.calls[other].location is None


def test_a_location_that_is_too_old_is_not_the_calls() -> None:
    story = Story().seat()
    story.do(aml(at(12)))
    story.at_ms += story.settings.locate_window_ms
    call_id = story.ring(number=NUMBER)
    assert story.state.calls[call_id].location is None


def test_a_finer_one_replaces_the_networks_and_a_coarser_one_does_not() -> None:
    story = Story().seat()
    call_id = story.ring(number=NUMBER, location=HERE)  # 20 m, by the INVITE
    assert story.types(aml(at(300))) == []
    assert story.types(aml(at(8))) == ["CallerLocated", "LocationSet"]
    assert story.types(aml(at(14, lat=41.751))) == ["CallerLocated", "LocationSet"]  # he walks
    assert story.types(aml(at(40))) == []
    assert story.state.calls[call_id].location == at(14, lat=41.751)


def test_what_a_person_has_set_stays() -> None:
    story = Story().seat()
    call_id = story.ring(number=NUMBER)
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    incident_id = story.state.calls[call_id].incident_id
    typed = at(None, LocationSource.ADDRESS)
    story.do(cmd.SetLocation(incident_id=incident_id, location=typed))
    assert story.types(aml(at(5))) == ["CallerLocated"]
    assert story.state.incidents[incident_id].location == typed
    assert story.state.calls[call_id].location == at(5)


def test_a_link_is_sent_used_once_and_expires() -> None:
    story = Story().seat()
    call_id = CallId(story.ring(number=NUMBER))
    before = story.state
    send = cmd.SendLocationLink(call_id=call_id)
    assert story.types(send) == ["LocationLinkRequested"]
    [effect] = effects_since(before, story)
    link_id = f"{call_id}.1"
    assert effect == ef.SendLocationLink(call_id=call_id, number=NUMBER, link_id=link_id)
    refused(story, send, "link_just_sent")
    [key] = [k for k, p in story.state.pending.items() if p.effect == effect]
    story.do(cmd.SettleEffect(effect_key=key))
    assert story.state.calls[call_id].link.state == "sent"
    assert key not in story.state.pending
    here = at(9, LocationSource.LINK)
    answer = cmd.LocateCaller(call_id=call_id, location=here, link_id=link_id)
    refused(story, cmd.LocateCaller(call_id=call_id, location=here, link_id="x"), "link_expired")
    assert story.types(answer)[0] == "CallerLocated"
    assert story.state.calls[call_id].link.state == "used"
    refused(story, answer, "link_used")
    assert story.types(send, after_ms=1000) == ["LocationLinkRequested"]  # used: another at once
    late = cmd.LocateCaller(call_id=call_id, location=here, link_id=f"{call_id}.2")
    story.at_ms += story.settings.link_life_ms
    refused(story, late, "link_expired")
    assert decode_state(encode_state(story.state)) == story.state


def test_a_link_that_brings_nothing_better_is_used_all_the_same() -> None:
    story = Story().seat()
    call_id = CallId(story.ring(number=NUMBER, location=HERE))
    story.do(cmd.SendLocationLink(call_id=call_id))
    coarse = cmd.LocateCaller(
        call_id=call_id, location=at(900, LocationSource.LINK), link_id=f"{call_id}.1"
    )
    assert story.types(coarse) == ["CallerLocated"]
    assert story.state.calls[call_id].location == HERE
    refused(story, coarse, "link_used")


def test_a_link_that_cannot_be_sent_is_told_and_forgotten_with_its_call() -> None:
    story = Story().seat()
    call_id = CallId(story.ring(number=NUMBER))
    story.do(cmd.SendLocationLink(call_id=call_id))
    [key] = [k for k, p in story.state.pending.items() if isinstance(p.effect, ef.SendLocationLink)]
    story.do(cmd.SettleEffect(effect_key=key, failed_reason="HTTP 500", attempts=4))
    assert f"location_link_failed/{call_id}" in story.state.alarms
    assert story.state.calls[call_id].link.state == "failed"
    story.do(cmd.Tick())
    assert f"location_link_failed/{call_id}" in story.state.alarms
    story.do(cmd.SendLocationLink(call_id=call_id))  # a failed one may be tried again at once
    story.do(cmd.Tick())
    assert f"location_link_failed/{call_id}" not in story.state.alarms


def test_no_number_no_link_and_no_join() -> None:
    story = Story().seat()
    call_id = CallId(story.ring(number=""))
    refused(story, cmd.SendLocationLink(call_id=call_id), "number_unknown")
    refused(story, cmd.SendLocationLink(call_id=CallId("C-0-1")), "call_unknown")
    refused(story, aml(at(5), "120"), "number_unknown")
    far = Location(position=Position(lat=91, lon=0), source=LocationSource.AML)
    refused(story, aml(far), "position_range")


def test_the_operator_is_asked_once_for_every_call_that_has_a_number() -> None:
    story = Story().seat()
    before = story.state
    call_id = CallId(story.ring(number=NUMBER))
    asked = [e for e in effects_since(before, story) if isinstance(e, ef.LookUpSubscriber)]
    assert asked == [ef.LookUpSubscriber(call_id=call_id, number=NUMBER)]
    known = Subscriber(number=NUMBER, name="试验用户", address="人民东路 1 号")
    note = cmd.NoteSubscriber(call_id=call_id, subscriber=known)
    assert story.do(note) == [ev.SubscriberNoted(call_id=call_id, subscriber=known)]
    assert story.do(note) == []
    before = story.state
    story.ring(ref="r2", number="")
    assert not [e for e in effects_since(before, story) if isinstance(e, ef.LookUpSubscriber)]


def test_an_address_that_the_map_does_not_know_is_there_to_read_and_places_nothing() -> None:
    story = Story().seat()
    call_id = CallId(story.ring(number=NUMBER))
    note = cmd.NoteAddress(call_id=call_id, address="库尔勒市 新路 3 号")
    assert story.do(note) == [ev.AddressTold(call_id=call_id, address="库尔勒市 新路 3 号")]
    assert story.do(note) == []
    view = call_view(story.state, call_id)
    assert view is not None
    assert (view.told_address, view.location) == ("库尔勒市 新路 3 号", None)
    refused(story, cmd.NoteAddress(call_id=CallId("nobody"), address="x"), "call_unknown")


def test_numbers_are_compared_as_people_write_them() -> None:
    same = {digits(n) for n in ("13900000001", "+8613900000001", "0086 139 0000 0001")}
    assert same == {"13900000001"}
    story = Story().seat()
    call_id = story.ring(number="09962022222")
    story.do(aml(at(30), "2022222"))
    assert story.state.calls[call_id].location == at(30)
    mobile = story.ring(ref="r2", number="13902022222")
    assert story.state.calls[mobile].location is None


def test_located_numbers_have_a_limit() -> None:
    story = Story()
    for n in range(1003):
        story.do(aml(at(30), f"1390000{n:04d}"), after_ms=1)
    assert len(story.state.located) == 1000
    assert "13900000000" not in story.state.located


def test_better() -> None:
    assert better(at(5), None)
    assert better(at(5), at(None))
    assert not better(at(None), at(5))
    assert better(at(None, lat=41.76), at(None))
    assert not better(at(None, LocationSource.LINK), at(None))
