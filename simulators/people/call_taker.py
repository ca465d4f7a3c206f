"""A simulated call-taker: answers what rings at its seat, asks, locates, sends, hangs up."""

import asyncio
import random
from collections.abc import Callable

import structlog

from simulators.people.screen import Entity, Screen
from simulators.people.stories import CallerStory

PROPOSALS_WAIT_S = 8.0
QUESTIONS_MAX = 9

log = structlog.get_logger("call_taker")


class CallTaker:
    """One seat. `story_of` knows what the caller of a number would say."""

    def __init__(
        self,
        screen: Screen,
        rng: random.Random,
        story_of: Callable[[str], CallerStory | None],
        *,
        pace: float,
    ) -> None:
        self._screen = screen
        self._rng = rng
        self._story_of = story_of
        self._pace = pace
        self._seat = ""

    async def run(self) -> None:
        """Sit down, and take one call after the other until cancelled."""
        self._seat = str(self._screen.session["seat_id"])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._screen.run(), name=f"screen-{self._seat}")
            await self._screen.command("set_seat", seat_id=self._seat, state="free")
            while True:
                call = await self._ringing()
                await self._take(call)

    async def _ringing(self) -> Entity:
        while True:
            for call in self._screen.of("call").values():
                if call["state"] == "ringing" and call.get("seat_id") == self._seat:
                    return call
            async with self._screen.changed:
                try:
                    async with asyncio.timeout(2.0):
                        await self._screen.changed.wait()
                except TimeoutError:
                    pass
            await self._back_to_work()

    async def _back_to_work(self) -> None:
        """A seat that was paused because its phone was away is taken again."""
        seat = self._screen.of("seat").get(self._seat)
        if seat is not None and seat["state"] in ("closed", "paused"):
            await self._screen.command("set_seat", seat_id=self._seat, state="free")

    async def _pause(self, low_s: float, high_s: float) -> None:
        await asyncio.sleep(self._rng.uniform(low_s, high_s) / self._pace)

    async def _take(self, call: Entity) -> None:
        await self._pause(1.0, 3.0)
        call_id = call["call_id"]
        result = await self._screen.command("answer_call", call_id=call_id, seat_id=self._seat)
        if result.get("result") != "accepted":
            return
        incident_id = await self._incident(call_id)
        story = self._story_of(call["caller_number"])
        if incident_id is not None:
            await self._handle(incident_id, story)
        await self._pause(4.0, 10.0)
        if self._state(call_id) == "answered":
            await self._screen.command("hang_up_call", call_id=call_id)
        await self._until_over(call_id)

    async def _incident(self, call_id: str) -> str | None:
        for _ in range(40):
            incident_id = self._screen.of("call").get(call_id, {}).get("incident_id")
            if incident_id is not None:
                return str(incident_id)
            await asyncio.sleep(0.05)
        return None

    async def _handle(self, incident_id: str, story: CallerStory | None) -> None:
        if story is None:
            await self._pause(2.0, 4.0)
            return
        await self._pause(1.5, 4.0)
        await self._screen.command(
            "choose_complaint", incident_id=incident_id, complaint=story.complaint
        )
        if not self._incident_now(incident_id).get("location"):
            await self._locate(incident_id, story)
        await self._send(incident_id)
        await self._ask(incident_id, story)
        await self._screen.command(
            "describe_patient",
            incident_id=incident_id,
            patient={"sex": story.sex, "age_years": story.age_years},
        )

    def _incident_now(self, incident_id: str) -> Entity:
        return self._screen.of("incident").get(incident_id, {})

    def _state(self, call_id: str) -> str:
        return str(self._screen.of("call").get(call_id, {}).get("state", "ended"))

    async def _locate(self, incident_id: str, story: CallerStory) -> None:
        await self._pause(2.0, 6.0)
        hits = await self._screen.get("/api/places", q=story.place.name_zh)
        best = hits[0] if hits else None
        lat = best["lat"] if best else story.position.lat
        lon = best["lon"] if best else story.position.lon
        address = best["name_zh"] if best else story.place.name_zh
        await self._screen.command(
            "set_location",
            incident_id=incident_id,
            location={
                "position": {"lat": lat, "lon": lon},
                "source": "address",
                "address": address,
            },
        )

    async def _send(self, incident_id: str) -> None:
        """Send the first proposal; another unit if somebody was faster."""
        if self._incident_now(incident_id).get("mission_ids"):
            return  # a repeat caller: a unit is on its way already
        for _ in range(int(PROPOSALS_WAIT_S / 0.2)):
            proposals = self._incident_now(incident_id).get("proposals", [])
            if proposals:
                break
            await asyncio.sleep(0.2)
        for proposal in self._incident_now(incident_id).get("proposals", []):
            await self._pause(0.8, 2.0)
            result = await self._screen.command(
                "assign_unit", incident_id=incident_id, unit_id=proposal["unit_id"]
            )
            if result.get("result") == "accepted":
                return
        log.warning("no_unit_sent", incident=incident_id)

    async def _ask(self, incident_id: str, story: CallerStory) -> None:
        """The protocol's questions, until its verdict is final."""
        asked: set[str] = set()
        for _ in range(QUESTIONS_MAX):
            questions = self._incident_now(incident_id).get("questions", [])
            open_ = [q for q in questions if not q.get("answer") and q["question_id"] not in asked]
            if not open_ or not self._incident_now(incident_id).get("provisional", True):
                return
            question = open_[0]["question_id"]
            asked.add(question)
            await self._pause(1.5, 4.0)
            answer = "yes" if self._rng.random() < 0.5 else "no"
            if question in ("awake", "breathing_normally"):
                down = story.complaint in ("cardiac_arrest", "reduced_consciousness")
                answer = "no" if down else "yes"
            elif self._rng.random() < 0.1:
                answer = "unknown"
            elif self._rng.random() > story.grave:
                answer = "no"
            await self._screen.command(
                "answer_question", incident_id=incident_id, question=question, answer=answer
            )

    async def _until_over(self, call_id: str) -> None:
        for _ in range(100):
            if self._state(call_id) in ("ended", "abandoned"):
                return
            await asyncio.sleep(0.2)
