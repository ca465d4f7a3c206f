"""A pair's two brokers: vehicles go over to the other one, and their track has no gap."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from avl.filters import FilterLimits
from avl.link import EitherBroker, Link, LinkSpec, MqttBroker
from avl.live import LiveTable
from avl.mosquitto import Mosquitto, MosquittoSettings
from avl.service import AvlService, AvlSettings
from avl.tracks import TrackWriter, read_track
from dispatch.contracts.ids import UnitId
from dispatch.contracts.words import MISSION_STEPS, UnitStatus
from simulators.fleet.faults import NONE
from simulators.fleet.runner import Fleet, FleetSettings
from tests.avl.helpers import WallClock, running, until
from tests.ports import free_port
from tests.simulators.fleet.centre import Centre
from tests.simulators.fleet.test_fleet import HOSPITAL, PACE, SCENE, vehicles

A0 = UnitId("A0")
GAP_MS_MAX = 3_000


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Mosquitto, Mosquitto]]:
    async with AsyncExitStack() as stack:
        brokers = [
            await stack.enter_async_context(
                Mosquitto(
                    MosquittoSettings(
                        folder=tmp_path / name, port=free_port(), allow_anonymous=True
                    )
                )
            )
            for name in ("a", "b")
        ]
        yield brokers[0], brokers[1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_vehicle_whose_broker_dies_in_a_mission_goes_on_at_the_other_one(
    two: tuple[Mosquitto, Mosquitto], tmp_path: Path, how: signal.Signals
) -> None:
    """The machine with broker a dies; the one with broker b hears both."""
    dying, own = two
    a, b = MqttBroker(dying.url), MqttBroker(own.url)
    centre = Centre(SCENE, HOSPITAL)
    live = LiveTable(FilterLimits(jump_kmh=250 * PACE))
    centre.service = AvlService(
        broker=b,
        also=[a],
        port=centre,
        clock=WallClock(),
        live=live,
        tracks=TrackWriter(tmp_path / "tracks"),
    )
    fleet = Fleet(
        vehicles(1),
        broker=EitherBroker([a, b]),
        clock=WallClock(),
        rng=Random(120),
        faults=NONE,
        settings=FleetSettings(pace=PACE, keepalive_s=2),
    )
    began_ms = WallClock().now_ms()
    async with running(centre.service):
        driving = asyncio.ensure_future(fleet.run())
        try:
            await until(lambda: centre.service.connected_also == 1)
            mission_id = await centre.alert("A0")
            await until(lambda: UnitStatus.ACKNOWLEDGED in centre.steps[mission_id], timeout_s=30)
            assert dying.pid is not None
            os.kill(dying.pid, how)
            struck_ms = WallClock().now_ms()
            done = centre.steps[mission_id]
            await until(lambda: UnitStatus.AVAILABLE in done, timeout_s=60)
            assert done == list(MISSION_STEPS[1:])  # each once, in order

            def later() -> bool:
                fix = live.fix(A0)
                return fix is not None and fix.at_ms > struck_ms + 4_000

            await until(later, timeout_s=30)
        finally:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)
            if how is signal.SIGSTOP:
                os.kill(dying.pid or 0, signal.SIGCONT)
    track = sorted(
        fix.at_ms for fix in read_track(tmp_path / "tracks", A0, began_ms, WallClock().now_ms())
    )
    assert track[0] < struck_ms
    assert track[-1] > struck_ms + 4_000
    gaps = [later - earlier for earlier, later in pairwise(track)]
    assert max(gaps) <= GAP_MS_MAX
    assert min(gaps) > 0, "a fix that was said again is in the track twice"


async def test_missions_lie_at_both_brokers_and_a_reply_finds_the_vehicle(
    two: tuple[Mosquitto, Mosquitto],
) -> None:
    sites = [MqttBroker(one.url) for one in two]
    centre = Centre(SCENE, HOSPITAL)
    centre.service = AvlService(
        broker=sites[0],
        also=sites[1:],
        port=centre,
        clock=WallClock(),
        live=LiveTable(),
        settings=AvlSettings(),
    )
    spec = LinkSpec(client_id="box", subscriptions=(("d120/unit/A0/mission", 1),))
    async with running(centre.service):
        await until(lambda: centre.service.connected and centre.service.connected_also == 1)
        await centre.alert("A0")
        for site in sites:
            async with site.connect(spec) as link:
                assert b'"alert"' in await heard(link)
        await two[1].stop()
        assert centre.service.connected
        await centre.service.clear_mission(A0)
        await two[1].start()  # what it missed is said to it when it is back
        await until(lambda: centre.service.connected_also == 1, timeout_s=30)
        async with asyncio.timeout(20):
            while await retained(sites[1], spec):  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.05)


async def retained(site: MqttBroker, spec: LinkSpec) -> bytes:
    """What a device that comes now finds."""
    async with site.connect(spec) as link:
        try:
            async with asyncio.timeout(0.3):
                return (await link.receive()).payload
        except TimeoutError:
            return b""


async def heard(link: Link) -> bytes:
    async with asyncio.timeout(20):
        return (await link.receive()).payload
