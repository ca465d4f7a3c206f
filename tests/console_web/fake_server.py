"""The real web server over a `FakeCentre`, for Chromium: `python -m tests.console_web.fake_server`.

`POST /fake/ring`, `/fake/hang_up`, `/fake/busy` make things happen; the accounts are in the open.
With `--region DIR` (a pack of `python -m simulators.region`) it has that region's map and places.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from avl.region.pack import Region, load_region
from avl.region.search import PlaceSearch
from console_web.server.app import create_app, uvicorn_config
from console_web.server.deps import (
    STATIC_FOLDER,
    DemoAccount,
    NearestHit,
    PlaceHit,
    RouteLine,
    WebDeps,
    WebSettings,
)
from console_web.server.frames import Machine, Machines, ServiceNumber
from console_web.server.users import User, UsersStore, hash_password
from dispatch.contracts.commands import OpenEpoch, RaiseAlarm
from dispatch.contracts.events import Record
from dispatch.contracts.ids import HospitalId, MissionId, PlaceId, SeatId, UnitId
from dispatch.contracts.things import Position
from dispatch.contracts.words import Role, UnitStatus
from dispatch.views.timeline import TrackPoint
from tests.console_web.fake_centre import STREETS, FakeCentre, distance_m
from tests.console_web.late import put_far_away

NAMES = {
    "seat1": ("受理一席", Role.CALL_TAKER),
    "seat2": ("受理二席", Role.CALL_TAKER),
    "chief": ("值班班长", Role.SUPERVISOR),
    "root": ("工程师", Role.ADMIN),
    "crew1": ("车组", Role.CREW),
    "ed1": ("急诊", Role.HOSPITAL),
}


def accounts(centre: FakeCentre) -> list[User]:
    """One of each role; the password is `demo-<user>`. A folder keeps them: a hash is salted, and a
    session ends with the password that it was opened with.
    """
    kept = centre.folder / "users.json" if centre.folder else None
    if kept is not None and kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=list[User])
    users = new_accounts(centre)
    if kept is not None:
        kept.write_bytes(msgspec.json.encode(users))
    return users


def new_accounts(centre: FakeCentre) -> list[User]:
    units, hospitals = list(centre.state.units), list(centre.state.hospitals)
    seats = {"seat1": SeatId("01"), "seat2": SeatId("02")}
    return [
        User(
            user=user,
            name=name,
            role=role,
            password=hash_password(f"demo-{user}", n=16),
            seat_id=seats.get(user),
            unit_id=UnitId(units[0]) if role is Role.CREW else None,
            hospital_id=HospitalId(hospitals[0]) if role is Role.HOSPITAL else None,
        )
        for user, (name, role) in NAMES.items()
    ]


class Half:
    """This server as one machine of a pair: it serves screens once it has taken over. Both keep one
    folder, which stands for the replicated journal.
    """

    def __init__(self, centre: FakeCentre, own: str, other: str, *, active: bool) -> None:
        self.centre = centre
        self.node, self.other = ("a", "b") if active else ("b", "a")
        self.own_url, self.other_url = own, other
        self.is_active = active
        self.is_blocked = False
        centre.hub.machines = self.machines

    @property
    def origins(self) -> tuple[str, ...]:
        return (self.own_url, self.other_url)

    def active(self) -> bool:
        return self.is_active

    def machines(self) -> Machines:
        urls = {self.node: self.own_url, self.other: self.other_url}
        return Machines(
            node=self.node,
            role="blocked" if self.is_blocked else "active" if self.is_active else "starting",
            epoch=self.centre.state.epoch,
            writer=self.node if self.is_active else "",
            in_sync=("a", "b"),
            machines=tuple(Machine(node=node, url=url) for node, url in sorted(urls.items())),
        )

    def block(self) -> None:
        """Reach nobody but the screens."""
        self.is_blocked = True
        self.centre.hub.tell(self.machines())

    def take_over(self) -> None:
        """Read what was committed, and go on in an epoch of one's own."""
        self.centre.begin()
        self.centre.tell(OpenEpoch(epoch=self.centre.state.epoch + 1, node=self.node))
        self.is_active = True


class Ports:
    """What the web server asks of the rest of a centre."""

    def __init__(self, centre: FakeCentre, region: Region | None) -> None:
        self.centre = centre
        self.search = PlaceSearch(region.places, region.roads) if region else None

    async def places(self, words: str, around: Position | None) -> Sequence[PlaceHit]:
        if self.search is not None:
            return [
                PlaceHit(
                    place_id=place.place_id,
                    name_zh=place.name_zh,
                    name_en=place.name_en,
                    kind=place.kind,
                    lat=place.position.lat,
                    lon=place.position.lon,
                    county_zh=place.county_zh,
                )
                for place in self.search.search(words, around)
            ]
        return [
            PlaceHit(
                place_id=PlaceId(f"p{n}"),
                name_zh=f"{street} {n * 7} 号",
                name_en=f"{street} {n * 7}",
                kind="address",
                lat=41.76 + n / 1000,
                lon=86.15,
                county_zh="库尔勒市",
            )
            for n, street in enumerate(STREETS, 1)
            if words[:1] in street
        ]

    async def nearest(self, position: Position) -> NearestHit:
        if self.search is not None:
            found = self.search.nearest(position)
            return NearestHit(
                address_zh=found.address_zh,
                address_en=found.address_en,
                distance_m=found.distance_m,
            )
        return NearestHit(
            address_zh="石化大道近英下路口", address_en="Shihua Avenue", distance_m=12
        )

    async def route(self, mission_id: MissionId) -> RouteLine | None:
        mission = self.centre.state.missions.get(mission_id)
        incident = self.centre.state.incidents.get(mission.incident_id) if mission else None
        fix = self.centre.fleet.fix(mission.unit_id) if mission else None
        if fix is None or incident is None or incident.location is None:
            return None
        one, two = fix.position, incident.location.position
        points = [(one.lat, one.lon), (one.lat, two.lon), (two.lat, two.lon)]
        return RouteLine(points=points, eta_s=120, distance_m=round(distance_m(one, two)))

    async def tracks(self, unit_id: UnitId, from_ms: int, to_ms: int) -> Sequence[TrackPoint]:
        return []

    # ---- a journal that forgets

    async def append(self, records: Sequence[Record]) -> None: ...
    async def last(self) -> Record | None:
        return None

    async def read(self, *, after_seq: int = 0) -> AsyncIterator[Record]:
        for record in self.centre.records[after_seq:]:
            yield record

    async def get(self, seqs: Sequence[int]) -> list[Record]:
        return [self.centre.records[seq - 1] for seq in seqs]

    async def close(self) -> None: ...


def busy(centre: FakeCentre) -> None:
    """Some work under way, so that the screens have something to show."""
    stages = [UnitStatus.ALERTED, UnitStatus.DEPARTED, UnitStatus.DEPARTED]
    stages += [UnitStatus.ON_SCENE, UnitStatus.WITH_PATIENT, UnitStatus.BOARDED]
    complaints = [c.complaint_id for c in centre.protocols.complaints]
    for index, stage in enumerate(stages * max(1, len(centre.state.units) // 50)):
        incident = centre.new_incident(complaints[(index * 2) % len(complaints)])
        if index % 2:
            centre.answer_all(incident, "no" if index % 4 == 1 else "yes")
        centre.send_nearest(incident, stage)
    centre.new_incident("trauma")
    centre.new_incident()
    for number in ("13579960001", "0996-2030120"):
        centre.hang_up(centre.ring(number=number, located=False))


async def until(is_so: Callable[[], bool], what: str) -> None:
    """A key that a test has just pressed in the browser may still be on its way here."""
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"{what}: not seen within 10 s of a test's asking")


DEEDS = frozenset({"hang_up", "lose_phone", "press", "locate", "subscribe", "say_address"})
"""What the centre does as it is told, under the same name."""


def fake_route(centre: FakeCentre, half: Half | None) -> Route:
    async def act(request: Request) -> JSONResponse:
        body = msgspec.json.decode(await request.body() or b"{}")
        answer: dict[str, object] = {}
        match request.path_params["what"]:
            case "ring":
                answer["call_id"] = centre.ring(**body)
            case "alarm":
                centre.tell(RaiseAlarm(code=str(body["code"]), detail=str(body["detail"])))
            case ("join" | "lose") as what:
                await until(lambda: centre.has_parties(body["call_id"]), "a further party")
                centre.party(body["call_id"], joins=what == "join")
            case "settle_link":
                await until(centre.is_link_asked, "a link that was asked for")
                centre.settle_link(**body)
            case what if what in DEEDS:
                getattr(centre, what)(**body)
            case "busy":
                busy(centre)
            case ("take_over" | "block") as what if half is not None:
                half.take_over() if what == "take_over" else half.block()
            case "reset":
                centre.begin()
            case "take":
                centre.take(UnitId(body["unit_id"]))
            case _:
                pass
        answer["given"] = [type(command).__name__ for command in centre.given]
        return JSONResponse(answer)

    return Route("/fake/{what}", act, methods=["POST"])


def deps_of(
    centre: FakeCentre,
    region: Region | None,
    static: Path = STATIC_FOLDER,
    half: Half | None = None,
) -> WebDeps:
    ports = Ports(centre, region)
    users = accounts(centre)
    demo = tuple(
        DemoAccount(user=u.user, password=f"demo-{u.user}", name=u.name, role=u.role) for u in users
    )
    nowhere = Path("/nonexistent")
    return WebDeps(
        commands=centre,
        hub=centre.hub,
        users=UsersStore(users),
        clock=centre.clock,
        protocols=centre.protocols,
        settings=WebSettings(
            secret_key="f" * 32,
            demo=True,
            demo_accounts=demo,
            allowed_origins=half.origins if half else (),
            numbers=(
                ServiceNumber(number="110", zh="公安", en="police"),
                ServiceNumber(number="119", zh="消防", en="fire"),
                ServiceNumber(number="12350", zh="应急", en="works accidents"),
            ),
        ),
        active=half.active if half else lambda: True,
        places=ports.places,
        nearest=ports.nearest,
        route=ports.route,
        journal=ports,
        tracks=ports.tracks,
        recordings_folder=nowhere,
        map_file=region.map_path if region else nowhere,
        static_folder=static,
    )


async def serve(centre: FakeCentre, deps: WebDeps, host: str, port: int, half: Half | None) -> None:
    app = create_app(deps)
    app.router.routes.insert(0, fake_route(centre, half))
    put_far_away(app)
    server = uvicorn.Server(uvicorn_config(app, host=host, port=port))

    async def beat() -> None:
        while True:
            centre.drive()
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        beating = group.create_task(beat())
        await server.serve()
        beating.cancel()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--other", default="", help="the other machine's origin: be one of a pair")
    parser.add_argument("--waits", action="store_true", help="be the one that takes over")
    parser.add_argument("--port", type=int, default=8120)
    parser.add_argument("--units", type=int, default=40)
    parser.add_argument("--region", type=Path)
    parser.add_argument("--folder", type=Path, help="keep the journal here, across kills")
    parser.add_argument("--static", type=Path, default=STATIC_FOLDER)
    parser.add_argument("--busy", action="store_true")
    chosen = parser.parse_args(arguments)
    region = load_region(chosen.region) if chosen.region else None
    known = region.register if region else None
    centre = FakeCentre(units=chosen.units, known=known, folder=chosen.folder)
    if chosen.busy:
        busy(centre)
    own = f"http://{chosen.host}:{chosen.port}"
    half = Half(centre, own, chosen.other, active=not chosen.waits) if chosen.other else None
    deps = deps_of(centre, region, chosen.static, half)
    asyncio.run(serve(centre, deps, chosen.host, chosen.port, half))


if __name__ == "__main__":
    main()
