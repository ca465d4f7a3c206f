"""In a call, from a command at a seat to what the telephones hear: the core over real SIP, and
over the fake gateway where only the agreement of both sides is asked.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts import gateway as gw
from dispatch.contracts.words import CallState, PartyMode, SeatState
from dispatch.core.check import check_state
from dispatch.core.state import Call
from dispatch.journal.memory import MemoryJournal
from dispatch.views.entities import CallView
from dispatch.views.render import render
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from telephony.fake import FakeGateway
from tests.app.world import SECRET, World, started, until
from tests.core.story import PROTOCOLS
from tests.telephony.harness import Gateway, dial, gateway, seat
from tests.telephony.listening import (
    CALLER_HZ,
    GUEST_HZ,
    MUSIC_HZ,
    OTHER_HZ,
    SEAT_HZ,
    mono,
    story,
)

SAY_S = 1.5


async def open_seat(world: World, seat_id: str) -> None:
    await world.do(cmd.SetSeat(seat_id=seat_id, state=SeatState.FREE))


def the_call(world: World, call_id: str) -> Call:
    check_state(world.state)
    return world.state.calls[call_id]


def shown(world: World, call_id: str) -> CallView:
    view = render(world.state, "call", call_id, PROTOCOLS)
    assert isinstance(view, CallView)
    return view


@contextlib.asynccontextmanager
async def conversation() -> AsyncIterator[tuple[FakeGateway, World, str]]:
    """A caller joined with seat 01, without telephones."""
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET) as fake,
        started(None, "telephony", gateway=fake.address) as world,
    ):
        await open_seat(world, "01")
        fake.offer("13900000001")
        await until(lambda: world.state.calls)
        (call_id,) = world.state.calls
        await world.do(cmd.AnswerCall(call_id=call_id, seat_id="01"))
        await until(lambda: the_call(world, call_id).connected_at_ms is not None)
        yield fake, world, call_id


def orders_of(fake: FakeGateway, kind: type[gw.TalkOrder]) -> list[gw.TalkOrder]:
    return [order for order in fake.orders if isinstance(order, kind)]


async def test_what_is_asked_in_a_call_is_ordered_and_shown() -> None:
    async with conversation() as (fake, world, call_id):
        await world.do(cmd.HoldCaller(call_id=call_id))
        await world.do(cmd.MuteSeat(call_id=call_id, muted=True))
        await world.do(cmd.SetMetronome(call_id=call_id, per_min=110))
        await until(lambda: len(orders_of(fake, gw.OrderTalk)) == 3)
        last = orders_of(fake, gw.OrderTalk)[-1]
        assert isinstance(last, gw.OrderTalk)
        assert (last.held, last.muted, last.metronome_per_min) == (True, True, 110)
        fake.press(fake.orders[0].call_ref, "5")
        await until(lambda: the_call(world, call_id).digits == "5")
        view = shown(world, call_id)
        assert (view.held, view.muted, view.metronome_per_min, view.digits) == (
            True,
            True,
            110,
            "5",
        )


async def test_a_number_that_does_not_answer_leaves_the_call_as_it_was() -> None:
    async with conversation() as (fake, world, call_id):
        fake.dead_numbers.add("110")
        await world.do(cmd.TransferCall(call_id=call_id, number="110"))
        await until(lambda: the_call(world, call_id).parties_dialled == 1)
        await until(lambda: the_call(world, call_id).parties == ())
        call = the_call(world, call_id)
        assert (call.state, call.seat_id, call.held_since_ms) == (CallState.ANSWERED, "01", None)
        (left,) = await world.events(ev.PartyLeft)
        assert (left.sip_code, left.q850, left.reason) == (480, 18, "no answer")


async def test_a_call_out_that_fails_ends_with_the_cause_and_frees_the_seat() -> None:
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET) as fake,
        started(None, "telephony", gateway=fake.address) as world,
    ):
        fake.dead_numbers.add("119")
        await open_seat(world, "01")
        created = (await world.do(cmd.CallOut(number="119", seat_id="01"))).created
        await until(lambda: the_call(world, created).state is CallState.ENDED)
        (ended,) = await world.events(ev.CallEnded)
        assert (ended.by, ended.sip_code, ended.q850) == ("network", 480, 18)
        await until(lambda: world.state.seats["01"].state is SeatState.FREE)
        again = (await world.do(cmd.CallOut(number="110", seat_id="01"))).created
        await until(lambda: the_call(world, again).connected_at_ms is not None)
        assert shown(world, again).outgoing


async def test_what_a_seats_phone_dials_is_called_without_ringing_it() -> None:
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET) as fake,
        started(None, "telephony", gateway=fake.address) as world,
    ):
        fake.dead_numbers.add("119")
        await open_seat(world, "01")
        out = fake.phone_dials("8001", "110")
        await until(lambda: (c := world.state.call_by_ref(out)) and c.connected_at_ms)
        call = world.state.call_by_ref(out)
        assert call is not None
        assert (shown(world, call.call_id).outgoing, call.seat_id) == (True, "01")
        assert fake.orders == [gw.OrderDial(order_id=f"out:{out}", call_ref=out, seat_id="01")]
        second, nobody = fake.phone_dials("8001", "110"), fake.phone_dials("8009", "110")
        await until(lambda: len(fake.orders) == 3)
        told = {o.call_ref: o.sip_code for o in fake.orders if isinstance(o, gw.OrderRelease)}
        assert told == {second: 486, nobody: 403}
        await world.do(cmd.HangUpCall(call_id=call.call_id))
        await until(lambda: world.state.seats["01"].state is SeatState.FREE)
        fake.phone_dials("8001", "119")
        await until(lambda: len(world.state.calls) == 2)
        await until(lambda: world.state.seats["01"].state is SeatState.FREE)
        ended = (await world.events(ev.CallEnded))[-1]
        assert (ended.by, ended.sip_code, ended.q850) == ("network", 480, 18)
        assert not [one for one in world.state.calls.values() if one.callback_pending]


async def test_a_core_that_starts_again_says_again_that_a_phone_may_dial() -> None:
    journal = MemoryJournal()
    async with FakeGateway("tcp:127.0.0.1:0", SECRET) as fake:
        fake.ringing_numbers.add("110")
        async with started(journal, "telephony", gateway=fake.address) as world:
            out = fake.phone_dials("8001", "110")
            await until(lambda: fake.orders)
        first = fake.orders.pop()
        async with started(journal, "telephony", gateway=fake.address):
            await until(lambda: fake.orders)
            assert fake.orders == [first]
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET) as anew,  # it knows of no call
        started(journal, "telephony", gateway=anew.address) as world,
    ):
        await until(lambda: world.state.seats["01"].state is SeatState.CLOSED)
        call = world.state.call_by_ref(out)
        assert call is not None
        assert (call.state, call.lost, call.callback_pending) == (CallState.ENDED, False, False)
        assert anew.orders == []


async def test_after_a_restart_the_gateway_is_told_again_how_the_call_shall_be() -> None:
    journal = MemoryJournal()
    async with FakeGateway("tcp:127.0.0.1:0", SECRET) as fake:
        async with started(journal, "telephony", gateway=fake.address) as world:
            await open_seat(world, "01")
            fake.offer("13900000001")
            await until(lambda: world.state.calls)
            (call_id,) = world.state.calls
            await world.do(cmd.AnswerCall(call_id=call_id, seat_id="01"))
            await until(lambda: the_call(world, call_id).connected_at_ms is not None)
            await open_seat(world, "02")
            await world.do(cmd.TransferCall(call_id=call_id, seat_id="02"))
            await until(lambda: the_call(world, call_id).seat_id == "02")
            await world.do(cmd.ListenCall(call_id=call_id, seat_id="09"))
            await world.do(cmd.SetMetronome(call_id=call_id, per_min=110))
            await until(lambda: the_call(world, call_id).parties[0].joined)
        fake.orders.clear()
        async with started(journal, "telephony", gateway=fake.address):
            await until(lambda: orders_of(fake, gw.OrderPartyMode))
            (mode,) = orders_of(fake, gw.OrderPartyMode)
            (talk,) = orders_of(fake, gw.OrderTalk)
            (handed,) = orders_of(fake, gw.OrderHandOver)
            assert isinstance(talk, gw.OrderTalk)
            assert isinstance(mode, gw.OrderPartyMode)
            assert isinstance(handed, gw.OrderHandOver)
            assert (talk.metronome_per_min, mode.mode) == (110, "listen")
            assert (handed.party_id, handed.seat_id) == ("1", "02")


async def test_listening_and_an_attended_transfer_from_the_screen_to_the_ear(
    tmp_path: Path,
) -> None:
    for name in ("caller", "first", "second", "boss"):
        (tmp_path / name).mkdir()
    async with (
        gateway(secret=SECRET) as one,
        started(None, "telephony", gateway=one.settings.link) as world,
        seat(one, "8001", SEAT_HZ, str(tmp_path / "first")) as first,
        seat(one, "8002", GUEST_HZ, str(tmp_path / "second")),
        seat(one, "8003", OTHER_HZ, str(tmp_path / "boss")) as boss,
        AgentProcess(say.AgentSettings(record=str(tmp_path / "caller"))) as caller,
    ):
        await open_seat(world, "01")
        await open_seat(world, "02")
        await dial(one, caller, play=f"tone:{CALLER_HZ}")
        await until(lambda: world.state.calls)
        (call_id,) = world.state.calls
        await world.do(cmd.AnswerCall(call_id=call_id, seat_id="01"))
        await until(lambda: the_call(world, call_id).connected_at_ms is not None)
        await world.do(cmd.ListenCall(call_id=call_id, seat_id="09"))
        await until(lambda: the_call(world, call_id).parties[0].joined)
        assert shown(world, call_id).listeners[0].mode is PartyMode.LISTEN
        await asyncio.sleep(SAY_S)
        await world.do(cmd.LeaveCall(call_id=call_id, seat_id="09"))
        await boss.expect(say.Disconnected)
        await until(lambda: world.state.seats["09"].state is SeatState.CLOSED)
        added = await world.do(cmd.AddParty(call_id=call_id, seat_id="02", consult=True))
        await until(lambda: the_call(world, call_id).parties[0].joined)
        await asyncio.sleep(SAY_S)
        await world.do(cmd.TransferCall(call_id=call_id, party_id=added.created))
        await first.expect(say.Disconnected)
        assert the_call(world, call_id).seat_id == "02"
        assert world.state.seats["01"].state is SeatState.FREE
        await asyncio.sleep(SAY_S)
        await world.do(cmd.HangUpCall(call_id=call_id))
        await caller.expect(say.Disconnected)
        await until(lambda: the_call(world, call_id).recording)
    tones = (CALLER_HZ, SEAT_HZ, GUEST_HZ, OTHER_HZ, MUSIC_HZ)
    assert story(mono(tmp_path / "boss" / "in1.wav"), *tones) == [{CALLER_HZ, SEAT_HZ}]
    at_caller = story(mono(tmp_path / "caller" / "a.wav"), *tones)
    assert at_caller == [{SEAT_HZ}, {MUSIC_HZ}, {GUEST_HZ}]
    assert story(mono(tmp_path / "second" / "in1.wav"), *tones) == [{SEAT_HZ}, {CALLER_HZ}]


HOSPITAL = "09962023456"


async def test_a_seat_calls_a_hospital_by_its_screen_by_its_phone_and_without_a_core(
    tmp_path: Path,
) -> None:
    for name in ("seat", "hospital"):
        (tmp_path / name).mkdir()
    journal = MemoryJournal()
    async with (
        gateway(secret=SECRET, hold_core_away_s=0.3) as one,
        seat(one, "8001", SEAT_HZ, str(tmp_path / "seat")) as phone,
        AgentProcess(
            say.AgentSettings(
                port=one.settings.kamailio.peers[0].port,
                play=f"tone:{GUEST_HZ}",
                record=str(tmp_path / "hospital"),
            )
        ) as hospital,
    ):
        async with started(journal, "telephony", gateway=one.settings.link) as world:
            await open_seat(world, "01")
            opened = await world.do(cmd.OpenIncident())
            out = cmd.CallOut(number="0996-2023456", seat_id="01", incident_id=opened.created)
            call_id = (await world.do(out)).created
            await talks_and_holds(world, hospital, call_id)
            assert world.state.calls[call_id].incident_id == opened.created
            await phone.expect(say.Disconnected)

            await dial_by_hand(one, phone, "by_hand")
            await until(lambda: len(world.state.calls) == 2)
            by_hand = max(world.state.calls.values(), key=lambda call: call.first_ring_at_ms)
            assert (by_hand.by_phone, by_hand.caller_number) == (True, HOSPITAL)
            assert shown(world, by_hand.call_id).outgoing
            await talks_and_holds(world, hospital, by_hand.call_id)
            await phone.expect(say.Disconnected)
            stereo = one.stereo((await world.events(ev.RecordingStored))[-1])

        await dial_by_hand(one, phone, "alone")
        await phone.expect(say.Confirmed, lambda line: line.call == "alone")
        async with started(journal, "telephony", gateway=one.settings.link) as world:
            await until(lambda: connected_now(world))
            (alone,) = connected_now(world)
            assert (alone.seat_id, world.state.seats["01"].state) == ("01", SeatState.TALKING)
            await world.do(cmd.HangUpCall(call_id=alone.call_id))
            await until(lambda: the_call(world, alone.call_id).recording)
    tones = (SEAT_HZ, GUEST_HZ, MUSIC_HZ)
    for call in ("in1", "in2"):
        assert story(mono(tmp_path / "hospital" / f"{call}.wav"), *tones) == [{SEAT_HZ}, {MUSIC_HZ}]
    assert story(mono(tmp_path / "seat" / "by_hand.wav"), *tones)[0] == {GUEST_HZ}
    assert story(stereo[:, 0], *tones) == [{GUEST_HZ}]
    assert story(stereo[:, 1], *tones)[0] == {SEAT_HZ}
    rung = [line for line in phone.events if isinstance(line, say.Incoming)]
    assert len(rung) == 1  # for what its screen dialled, and for nothing that it dialled itself


async def talks_and_holds(world: World, hospital: AgentProcess, call_id: str) -> None:
    """Until the console hangs up."""
    called = await hospital.expect(say.Incoming)
    assert (called.called, called.caller) == (HOSPITAL, "120")
    await until(lambda: the_call(world, call_id).connected_at_ms is not None)
    await asyncio.sleep(SAY_S)
    await world.do(cmd.HoldCaller(call_id=call_id))
    await asyncio.sleep(SAY_S)
    await world.do(cmd.HangUpCall(call_id=call_id))
    await hospital.expect(say.Disconnected)
    await until(lambda: the_call(world, call_id).recording)


async def dial_by_hand(one: Gateway, phone: AgentProcess, name: str) -> None:
    to, tone = f"sip:{HOSPITAL}@{one.server}", f"tone:{SEAT_HZ}"
    await phone.send(say.Dial(call=name, to=to, number="8001", phone="8001", play=tone))


def connected_now(world: World) -> list[Call]:
    calls = world.state.calls.values()
    return [call for call in calls if call.connected_at_ms and not call.ended_at_ms]


async def test_a_blind_transfer_happens_or_leaves_the_caller_at_his_seat(tmp_path: Path) -> None:
    for name in ("caller", "police"):
        (tmp_path / name).mkdir()
    async with (
        gateway(secret=SECRET) as one,
        started(None, "telephony", gateway=one.settings.link) as world,
        seat(one, "8001", SEAT_HZ) as phone,
        AgentProcess(
            say.AgentSettings(
                port=one.settings.kamailio.peers[0].port,
                play=f"tone:{GUEST_HZ}",
                record=str(tmp_path / "police"),
            )
        ) as police,
        AgentProcess(say.AgentSettings(record=str(tmp_path / "caller"))) as caller,
    ):
        await open_seat(world, "01")
        await open_seat(world, "02")  # its phone is not registered
        await dial(one, caller, play=f"tone:{CALLER_HZ}")
        await until(lambda: world.state.calls)
        (call_id,) = world.state.calls
        await world.do(cmd.AnswerCall(call_id=call_id, seat_id="01"))
        await until(lambda: the_call(world, call_id).connected_at_ms is not None)
        await world.do(cmd.TransferCall(call_id=call_id, seat_id="02"))
        await until(lambda: the_call(world, call_id).parties == ())
        (left,) = await world.events(ev.PartyLeft)
        assert left.sip_code == 480
        assert the_call(world, call_id).seat_id == "01"
        assert world.state.seats["02"].reason == "phone_unreachable"
        await asyncio.sleep(SAY_S)
        await world.do(cmd.TransferCall(call_id=call_id, number="110"))
        assert (await police.expect(say.Incoming)).called == "110"
        await phone.expect(say.Disconnected)
        await until(lambda: the_call(world, call_id).state is CallState.ENDED)
        assert shown(world, call_id).transferred_to == "110"
        assert world.state.seats["01"].state is SeatState.FREE
        await asyncio.sleep(SAY_S)
        await caller.send(say.Hangup(call="a"))
        await police.expect(say.Disconnected)
        await until(lambda: the_call(world, call_id).recording)
    tones = (CALLER_HZ, SEAT_HZ, GUEST_HZ)
    assert story(mono(tmp_path / "caller" / "a.wav"), *tones)[-2:] == [{SEAT_HZ}, {GUEST_HZ}]
    assert story(mono(tmp_path / "police" / "in1.wav"), *tones) == [{CALLER_HZ}]
