"""The whole loop on real sockets: boarding out, admission number back; and the command line."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from dispatch.contracts.commands import Accepted, CommandResult
from dispatch.contracts.errors import BadInput, JournalUnavailable
from dispatch.contracts.ids import EffectKey, HospitalId
from dispatch.contracts.words import FeedKind
from dispatch.hospital import er7
from dispatch.hospital.delivery import FeedDelivery
from dispatch.hospital.inbound import AckCode, AdmissionNotice
from dispatch.hospital.listener import AdmissionListener
from dispatch.hospital.messages import Dialect, control_id, feed_message
from dispatch.hospital.mllp import MllpClient
from simulators.hospitals.__main__ import address, first_number, hospitals, house_numbers, parser
from simulators.hospitals.behaviour import PRESETS, Behaviour, preset
from simulators.hospitals.his import HisSimulator
from tests.hospital.builders import (
    BOARDED_AT_MS,
    HOSPITAL,
    RealClock,
    entry,
    issued,
    visit,
)
from tests.ports import free_port

ROOT = Path(__file__).parents[3]


class Core:
    """Stands for the sequencer; fails as often as it is told to."""

    def __init__(self, *, failures: int = 0) -> None:
        self.failures = failures
        self.numbers: dict[str, str] = {}
        self.submitted: list[str] = []
        self.news = asyncio.Event()

    async def admit(self, notice: AdmissionNotice) -> CommandResult:
        if self.failures:
            self.failures -= 1
            raise JournalUnavailable
        repeated = notice.command_id in self.submitted
        self.submitted.append(notice.command_id)
        self.numbers[notice.arrival_id] = notice.admission_no
        self.news.set()
        return Accepted(command_id=notice.command_id, seq=1, epoch=1, repeated=repeated)

    async def settled(self, _key: EffectKey, failed_reason: str, _attempts: int) -> None:
        assert not failed_reason

    async def wait(self, numbers: int) -> None:
        async with asyncio.timeout(30):
            while len(self.numbers) < numbers:
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def region(
    core: Core, behaviour: Behaviour
) -> AsyncIterator[tuple[FeedDelivery, HisSimulator, AdmissionListener]]:
    listener = AdmissionListener(clock=RealClock(), admit=core.admit)
    delivery = FeedDelivery(clock=RealClock(), rng=random.Random(1), settled=core.settled)
    async with listener.server(host="127.0.0.1", port=0) as server:
        his = HisSimulator(
            hospital_id=HOSPITAL,
            listen=("127.0.0.1", 0),
            reply_to=("127.0.0.1", server.port),
            clock=RealClock(),
            rng=random.Random(2),
            behaviour=behaviour,
        )
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(his.run()), tasks.create_task(delivery.run())]
            await his.ready.wait()
            yield delivery, his, listener
            for task in running:
                task.cancel()


async def test_a_patient_on_board_has_a_number() -> None:
    core = Core()
    async with region(core, preset("instant")) as (delivery, his, listener):
        for n in range(20):
            of = visit(n)
            await delivery.send(issued(FeedKind.BOARDED, of, seq=n), of, entry(his.port))
        await core.wait(20)
        held = {one.visit_no: one.admission_no for one in his.log.visits.values()}
        assert core.numbers == held
        assert listener.counts.admitted == 20
        assert all(number.startswith("ZY") for number in held.values())


async def test_doubled_numbers_and_a_core_that_is_away_for_a_moment() -> None:
    core = Core(failures=2)
    doubling = Behaviour(answer_delay_s=(0, 0), number_delay_s=(0, 0), doubled_rate=1.0)
    async with region(core, doubling) as (delivery, his, listener):
        for n in range(3):
            of = visit(n)
            await delivery.send(issued(FeedKind.BOARDED, of, seq=n), of, entry(his.port))
        await core.wait(3)
        async with asyncio.timeout(10):
            while his.log.numbers_accepted < 6:  # noqa: ASYNC110 - a plain counter
                await asyncio.sleep(0.01)
        assert len(set(core.submitted)) == 3
        assert (listener.counts.failed, listener.counts.repeated) == (2, 3)
        assert his.log.numbers_refused == 2


async def asked(his: HisSimulator, message: er7.Message) -> AckCode:
    client = MllpClient("127.0.0.1", his.port)
    ack = await client.exchange(er7.encode_bytes(message), message.header.get(10))
    await client.close()
    return ack.code


async def test_a_system_that_forgot_takes_a_visit_by_its_number_only() -> None:
    async with region(Core(), preset("instant")) as (_delivery, his, _listener):
        for of, code in ((visit(), AckCode.AR), (visit(admission_no="ZY-OLD-1"), AckCode.AA)):
            update = feed_message(
                FeedKind.UPDATED,
                of,
                effect_key=EffectKey("1:0"),
                at_ms=BOARDED_AT_MS,
                dialect=Dialect(),
            )
            assert await asked(his, update) is code
        assert his.log.visits[visit().arrival_id].admission_no == "ZY-OLD-1"
        assert his.log.numbers_accepted == 0
        cancel = feed_message(
            FeedKind.CANCELLED,
            visit(),
            effect_key=EffectKey("2:0"),
            at_ms=BOARDED_AT_MS,
            dialect=Dialect(),
        )
        assert await asked(his, cancel) is AckCode.AA
        assert his.log.visits[visit().arrival_id].cancelled
        assert his.log.received == [
            control_id(EffectKey("1:0"), visit()),
            control_id(EffectKey("2:0"), visit()),
        ]


async def test_the_same_seed_gives_the_same_trouble() -> None:
    async def story() -> tuple[int, int, int]:
        rates = Behaviour(
            answer_delay_s=(0, 0), number_delay_s=(60, 60), error_rate=0.3, reject_rate=0.1
        )
        async with region(Core(), rates) as (_delivery, his, _listener):
            for n in range(30):
                of = visit(n)
                board = feed_message(
                    FeedKind.BOARDED,
                    of,
                    effect_key=EffectKey(f"{n}:0"),
                    at_ms=BOARDED_AT_MS,
                    dialect=Dialect(),
                )
                await asked(his, board)
            return his.log.errors, his.log.rejected, len(his.log.visits)

    first = await story()
    assert first == await story()
    assert min(first) > 0
    assert sum(first) == 30


def test_presets_and_options_are_named() -> None:
    assert set(PRESETS) >= {"normal", "slow", "refusing", "away", "doubling"}
    with pytest.raises(BadInput, match="behaviour"):
        preset("angelic")
    args = parser().parse_args(
        ["--hospital", "A=1", "--hospital", "B=2", "--reply-to", "127.0.0.1:9"]
    )
    assert hospitals(args) == {HospitalId("A"): ("127.0.0.1", 1), HospitalId("B"): ("127.0.0.1", 2)}
    for wrong in ("x", "h:", "h:99999", ":1"):
        with pytest.raises(BadInput, match="host:port"):
            address(wrong, "--reply-to")
    assert 1 <= first_number(BOARDED_AT_MS) < first_number(BOARDED_AT_MS + 60_000) <= 9_999


async def test_the_command_line_serves_and_ends() -> None:
    port = free_port()
    core = Core()
    listener = AdmissionListener(clock=RealClock(), admit=core.admit)
    async with listener.server(host="127.0.0.1", port=0) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "simulators.hospitals", "--behaviour", "instant"),
            *("--hospital", f"{HOSPITAL}={port}", "--hospital", "H02=0"),
            *("--reply-to", f"127.0.0.1:{server.port}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(30):
                first = await process.stdout.readline()
                await process.stdout.readline()
            assert first.decode() == f"{HOSPITAL} listens on 127.0.0.1:{port}\n"
            board = feed_message(
                FeedKind.BOARDED,
                msgspec.structs.replace(visit(), vitals=()),
                effect_key=EffectKey("1:0"),
                at_ms=BOARDED_AT_MS,
                dialect=Dialect(),
            )
            client = MllpClient("127.0.0.1", port)
            ack = await client.exchange(er7.encode_bytes(board), board.header.get(10))
            assert ack.code is AckCode.AA
            await core.wait(1)
            await client.close()
        finally:
            process.send_signal(signal.SIGTERM)
            await process.communicate()
    assert process.returncode == 0


def test_no_two_hospitals_give_the_same_number() -> None:
    ids = tuple(HospitalId(f"H{n:02d}") for n in range(40))
    houses = house_numbers(ids, 120)
    assert houses == house_numbers(ids, 120)
    assert houses != house_numbers(ids, 121)
    numbers = set()
    for hospital_id in ids:
        his = HisSimulator(
            hospital_id=hospital_id,
            listen=("127.0.0.1", 0),
            reply_to=("127.0.0.1", 9),
            clock=RealClock(),
            rng=random.Random(1),
            first_number=5425,
            house=houses[hospital_id],
        )
        numbers |= {his._number() for _ in range(3)}
    assert len(numbers) == 3 * len(ids)
