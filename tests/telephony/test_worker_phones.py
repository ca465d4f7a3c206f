"""One worker by itself, with real SIP and no gateway: what it makes of phones that come and go."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec

from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from telephony import worker_messages as wire
from telephony.recordings import SIDES, legs_in, read_leg
from tests.ports import free_ports
from tests.telephony.harness import loudness, until
from tests.telephony.listening import CALLER_HZ, LOUD, SEAT_HZ, ended_with, mono

L = TypeVar("L", bound=wire.Line)
SOUNDS = Path("telephony/sounds")


class Lone:
    """A worker, and the supervisor's end of its line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.heard: list[wire.FromWorker] = []

    def tell(self, line: wire.ToWorker) -> None:
        self._writer.write(msgspec.json.encode(line) + b"\n")

    async def expect(self, kind: type[L], timeout_s: float = 15) -> L:
        """The next line of this kind."""
        decoder: msgspec.json.Decoder[wire.FromWorker] = msgspec.json.Decoder(wire.FromWorker)
        async with asyncio.timeout(timeout_s):
            while True:
                line = decoder.decode(await self._reader.readline())
                if not isinstance(line, wire.Alive):
                    self.heard.append(line)
                if isinstance(line, kind):
                    return line


@contextlib.asynccontextmanager
async def worker(folder: Path, others: AgentProcess) -> AsyncIterator[tuple[Lone, str]]:
    """A worker, and the SIP URI at which it is called; all that it dials goes to `others`."""
    port = free_ports(1)
    settings = wire.WorkerSettings(
        name="w0",
        gateway_id="g1",
        sip_host="127.0.0.1",
        sip_port=port,
        link_user="link-1",
        rtp_host="127.0.0.1",
        rtp_port=free_ports(20),
        rtp_ports=20,
        kamailio=f"127.0.0.1:{others.port}",
        live_dir=str(folder / "live"),
        announcement=str(SOUNDS / "announcement.wav"),
        music=str(SOUNDS / "hold.wav"),
        places=str(SOUNDS / "place"),
        seat_answer_timeout_s=5,
        seat_silent_s=60,
        caller_silent_s=60,
        place_answer_timeout_s=5,
    )
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "telephony.worker", str(theirs.fileno()),
            msgspec.json.encode(settings).decode(), pass_fds=(theirs.fileno(),),
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    reader, writer = await asyncio.open_connection(sock=ours)
    lone = Lone(reader, writer)
    try:
        await lone.expect(wire.Ready, 30)
        yield lone, f"sip:120@127.0.0.1:{port}"
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        try:
            async with asyncio.timeout(15):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise


async def test_a_browser_that_goes_in_a_conference_leaves_the_others_with_the_caller(
    tmp_path: Path,
) -> None:
    async with (
        AgentProcess(say.AgentSettings(play=f"tone:{SEAT_HZ}")) as others,
        AgentProcess(say.AgentSettings()) as caller,
        worker(tmp_path, others) as (lone, uri),
    ):
        await caller.send(say.Dial(call="a", to=uri, number="1", play=f"tone:{CALLER_HZ}"))
        ref = (await lone.expect(wire.Invited)).call_ref
        lone.tell(wire.Bridge(call_ref=ref, seat_id="01", phone="seat01.web"))
        await lone.expect(wire.Joined)
        lone.tell(wire.AddParty(call_ref=ref, party_id="1", phone="seat02"))
        await lone.expect(wire.PartyUp)
        lone.tell(wire.PhoneChanged(phone="seat01.web", registered=False))
        left = await lone.expect(wire.SeatLeft)
        assert (left.seat_id, left.dead, left.sip_code) == ("01", True, 480)
        lone.tell(wire.HandOver(call_ref=ref, party_id="1", seat_id="02"))  # as the core does
        # Nobody heard the announcement: the colleague has had the caller all the time.
        assert not [line for line in lone.heard if isinstance(line, wire.Waits | wire.SeatLost)]
        lone.tell(wire.PhoneChanged(phone="seat02", registered=False))
        assert (await lone.expect(wire.SeatLeft)).seat_id == "02"
        await lone.expect(wire.Waits)
        assert not [line for line in lone.heard if isinstance(line, wire.PartyGone)]
        lone.tell(wire.Release(call_ref=ref))
        await caller.expect(say.Disconnected)
        await lone.expect(wire.Closed)


async def test_a_disk_that_takes_no_recording_costs_no_call(tmp_path: Path) -> None:
    """Caller, announcement, seat, a supervisor who whispers, metronome: all are heard, and what can
    be recorded later is.
    """
    live = tmp_path / "live"
    heard = tmp_path / "heard"
    heard.mkdir()
    async with (
        AgentProcess(say.AgentSettings(play=f"tone:{SEAT_HZ}")) as others,
        AgentProcess(say.AgentSettings(record=str(heard))) as caller,
        worker(tmp_path, others) as (lone, uri),
    ):
        live.rmdir()
        live.touch()  # nothing can be written below it
        await caller.send(say.Dial(call="a", to=uri, number="1", play=f"tone:{CALLER_HZ}"))
        ref = (await lone.expect(wire.Invited)).call_ref
        lone.tell(wire.Hold(call_ref=ref))
        await caller.expect(say.Confirmed)
        lone.tell(wire.Bridge(call_ref=ref, seat_id="01", phone="seat01"))
        await lone.expect(wire.Joined)
        lone.tell(wire.Talk(call_ref=ref, metronome_per_min=110))
        lone.tell(wire.AddParty(call_ref=ref, party_id="1", phone="seat02", mode="whisper"))
        await lone.expect(wire.PartyUp)
        live.unlink()
        live.mkdir()  # there is room again
        await until(lambda: {leg.side for leg in legs_in(live)} == set(SIDES))
        await asyncio.sleep(1)
        lone.tell(wire.Release(call_ref=ref))
        await caller.expect(say.Disconnected)
        closed = await lone.expect(wire.Closed)
        assert closed.unrecorded
        assert not [line for line in lone.heard if isinstance(line, wire.SeatLost)]
    assert ended_with(mono(heard / "a.wav"), SEAT_HZ, CALLER_HZ) == {SEAT_HZ}
    sound = {leg.side: read_leg(leg.path) for leg in legs_in(live)}
    assert loudness(sound["caller"][-4000:], CALLER_HZ) > LOUD
    assert loudness(sound["seat"][-4000:], SEAT_HZ) > LOUD


async def test_a_worker_links_with_nobody_who_does_not_know_the_token(tmp_path: Path) -> None:
    async with (
        AgentProcess(say.AgentSettings()) as others,
        AgentProcess(say.AgentSettings()) as caller,
        worker(tmp_path, others) as (lone, uri),
    ):
        lone.tell(wire.Lend(call_ref="R1", token="t1"))
        assert (await lone.expect(wire.Lent)).free
        await caller.send(say.Dial(call="a", to=uri.replace("120@", "link-1@"), number="1"))
        assert (await caller.expect(say.Disconnected)).sip_code == 486
        await caller.send(say.Dial(call="b", to=uri, number="1"))  # lent: no worker for a caller
        refused = await caller.expect(say.Disconnected, lambda line: line.call == "b")
        assert refused.sip_code == 486
        lone.tell(wire.Lend(call_ref="R2", token="t2"))
        assert not (await lone.expect(wire.Lent)).free
        lone.tell(wire.Recall(call_ref="R1"))
        await lone.expect(wire.Returned)
        # Whatever else is dialled is a call like any other.
        await caller.send(say.Dial(call="c", to=uri.replace("120@", "link@"), number="2"))
        assert (await lone.expect(wire.Invited)).called == "link"
