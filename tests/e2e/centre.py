"""A whole centre of its own for tests of calls: the machine, four seats with telephones and
screens, callers, and what the telephone operator offers. One serves all the tests of a module.
"""

import random
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from fastapi import HTTPException, Response
from msgspec.structs import replace
from numpy.typing import NDArray

from dispatch.app.demo import make_users
from dispatch.app.queue_settings import (
    GroupPart,
    KnownNumberPart,
    LinePart,
    PartnerPart,
    QueuePart,
)
from dispatch.app.settings import OperatorPart, RecordingsPart, Settings
from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CallId
from dispatch.contracts.things import Register
from simulators.bench.machine import Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from simulators.operator.service import OperatorService
from simulators.people.screen import Screen
from tests.e2e.actors import accepted, enrol, recorded, screen, until
from tests.ports import free_port
from tests.simulators.operator.serving import served
from tests.telephony.test_waiting import TOLD_HZ, tone

HALL, REMOTE, RESERVE, SPEAKER = "01", "02", "03", "04"
"""The seats: two of the hall, the second of which speaks Uyghur, a remote one, a reserve."""
GROUPS = {HALL: "hall", REMOTE: "remote", RESERVE: "reserve", SPEAKER: "hall"}
REMOTE_AFTER_MS = PARTNER_AFTER_MS = 1000
UYGHUR_LINE, HOSPITAL = "1202", "09960000001"
TOKEN = "the token of the tests"
KEEP_DAYS = 30
PLACE_HZ, PLACE_S = {"ug": 820, "zh": 620}, 0.75
WORKERS = 8
BYTES_PER_S = 16_000


@dataclass(frozen=True)
class Centre:
    """What a test has to do with; every test leaves no call behind."""

    machine: Machine
    operator: OperatorService
    references: dict[str, str]
    """Documents by name, fetched from `url` + name."""
    url: str
    callers: AgentProcess
    phones: AgentProcess
    partner: AgentProcess
    """The partner centre, rung for whoever waits so long; it takes what a test has it take."""
    seats: Mapping[str, Screen]
    monitor: Screen
    _known: set[CallId] = field(default_factory=set)

    async def open_only(self, *seat_ids: str) -> None:
        """These seats are free, the first for the longest time; the others are closed."""
        closed = [(seat_id, "closed") for seat_id in self.seats if seat_id not in seat_ids]
        for seat_id, state in (*closed, *((seat_id, "free") for seat_id in seat_ids)):
            await accepted(self.seats[seat_id], "set_seat", seat_id=seat_id, state=state)

    async def dial(
        self, name: str, number: str, called: str = "120", *, geolocation: str = "", pidf: str = ""
    ) -> ev.CallOffered:
        """A telephone dials; `name` is the call's name there."""
        dialled = say.Dial(
            call=name,
            to=f"sip:{called}@{self.machine.sip_server}",
            number=number,
            play="tone:440",
            geolocation=geolocation,
            pidf=pidf,
        )
        await self.callers.send(dialled)
        record = await recorded(
            self.machine,
            ev.CallOffered,
            lambda e: (
                isinstance(e, ev.CallOffered)
                and e.caller_number == number
                and e.call_id not in self._known
            ),
        )
        offered = cast("ev.CallOffered", record.body)
        self._known.add(offered.call_id)
        return offered

    async def told(self, kind: type[ev.AnyEvent], call_id: CallId) -> Record:
        """The first event of this kind of the call, once it is there."""
        return await recorded(self.machine, kind, lambda e: getattr(e, "call_id", None) == call_id)

    async def of_call(self, call_id: CallId) -> list[ev.AnyEvent]:
        """All events of the call, in order."""
        records = await self.machine.journal()
        return [r.body for r in records if getattr(r.body, "call_id", None) == call_id]

    async def heard(self, call_ref: str, length_s: float) -> None:
        """Until the centre has played for so long into the call: what is written of it tells."""
        live = self.machine.settings.recordings_path / "live"

        def played_s() -> float:
            files = live.glob(f"{call_ref}.centre.*")
            return sum(path.stat().st_size for path in files) / BYTES_PER_S

        before_s = played_s()

        async def whole() -> bool:
            return played_s() - before_s > length_s

        await until(whole, f"{length_s} s of sound")

    async def rings(self, call_id: CallId) -> tuple[str, Record]:
        """At which seat the call rings first, and the record of it."""
        record = await self.told(ev.CallRinging, call_id)
        return str(cast("ev.CallRinging", record.body).seat_id), record

    async def joined(self, name: str, call_id: CallId, seat_id: str) -> None:
        """Whoever sits there takes the call: its phone answers, and both are joined."""
        await accepted(self.seats[seat_id], "answer_call", call_id=call_id, seat_id=seat_id)
        phone = f"seat{seat_id}"
        await self.phones.expect(say.Incoming, lambda e: e.called == phone)
        await self.callers.expect(say.Confirmed, lambda e: e.call == name)
        await self.told(ev.CallConnected, call_id)

    async def recording(self, call_id: CallId) -> NDArray[np.int16]:
        """What the master has, left the caller; once it is stored."""
        stored = cast("ev.RecordingStored", (await self.told(ev.RecordingStored, call_id)).body)
        with wave.open(str(self.machine.settings.recordings_path / stored.path)) as master:
            return np.frombuffer(master.readframes(10**9), dtype="<i2").reshape(-1, 2)

    async def left(self, name: str, call_id: CallId) -> None:
        """The caller hangs up; over when the journal says so."""
        await self.callers.send(say.Hangup(call=name))
        await self.callers.expect(say.Disconnected, lambda e: e.call == name)
        taken = ev.CallAnswered | ev.CallForwarded
        answered = any(isinstance(e, taken) for e in await self.of_call(call_id))
        await self.told(ev.CallEnded if answered else ev.CallAbandoned, call_id)


def queue(partner_port: int) -> QueuePart:
    """Second group and partner after a second, instead of ten and thirty."""
    return QueuePart(
        groups=(
            GroupPart(group_id="hall", after_s=0),
            GroupPart(group_id="remote", after_s=REMOTE_AFTER_MS / 1000),
            GroupPart(group_id="reserve", reserve=True),
        ),
        partners=(
            PartnerPart(
                partner_id="near",
                uri=f"sip:120@127.0.0.1:{partner_port}",
                after_s=PARTNER_AFTER_MS / 1000,
            ),
        ),
        known_numbers=(KnownNumberPart(number=HOSPITAL, name="一院急诊"),),
        lines=(LinePart(called=UYGHUR_LINE, language="ug"),),
    )


def own_settings(asked: Settings, url: str, partner_port: int) -> Settings:
    """A centre's file: groups, a line, recordings kept for days, the operator's services."""
    return replace(
        asked,
        demo=False,
        region_dir=str(asked.data_path / "region"),
        seats=tuple(
            replace(
                seat,
                group=GROUPS[seat.seat_id],
                languages=("ug",) if seat.seat_id == SPEAKER else (),
            )
            for seat in asked.seats
        ),
        queue=queue(partner_port),
        sip=replace(
            asked.sip,
            browser=replace(asked.sip.browser, enabled=False),
            announcement="told.wav",
            hold_music="nowhere.wav",
            places="places",
        ),
        recordings=RecordingsPart(keep_days=KEEP_DAYS),
        operator=OperatorPart(
            subscriber_url=f"{url}/subscriber",
            token=TOKEN,
            reference_hosts=(url.removeprefix("http://"),),
            aml_token=TOKEN,
        ),
    )


@asynccontextmanager
async def a_centre(folder: Path, region: Path, register: Register) -> AsyncIterator[Centre]:
    """Up, with every telephone registered and every seat closed; `folder` has a short path."""
    operator, references = OperatorService(TOKEN), dict[str, str]()
    partner_port = free_port()

    async def reference(name: str) -> Response:
        if name not in references:
            raise HTTPException(404)
        return Response(references[name], media_type="application/pidf+xml")

    operator.app.get("/location/{name}")(reference)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(operator.app))

        def own(asked: Settings) -> Settings:
            made = own_settings(asked, url, partner_port)
            make_users(register, made).save(made.users_path)
            tone(made.data_path / "told.wav", TOLD_HZ, 4)
            for language, hz in PLACE_HZ.items():
                tone(made.data_path / "places" / language / "1.wav", hz, PLACE_S)
            return made

        callers, phones = (
            AgentProcess(say.AgentSettings()),
            AgentProcess(say.AgentSettings(play="tone:1000")),
        )
        machine = await stack.enter_async_context(
            Machine(
                folder / "m",
                rng=random.Random(folder.name),
                region=region,
                options=(),
                workers=WORKERS,
                own=own,
            )
        )
        partner = AgentProcess(say.AgentSettings(port=partner_port, answer=False))
        for agent in (callers, phones, partner):
            await stack.enter_async_context(agent)
        for seat_id in GROUPS:
            await enrol(machine, phones, seat_id)
        seats = {
            seat_id: await stack.enter_async_context(screen(machine, f"seat{seat_id}"))
            for seat_id in GROUPS
        }
        monitor = await stack.enter_async_context(screen(machine, "monitor"))
        yield Centre(
            machine=machine,
            operator=operator,
            references=references,
            url=f"{url}/location/",
            callers=callers,
            phones=phones,
            partner=partner,
            seats=seats,
            monitor=monitor,
        )
