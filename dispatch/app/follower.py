"""The rooms of a machine that follows: vehicles' fixes and ETAs for its screens, and no deeds."""

import asyncio

from avl.link import MqttBroker
from avl.service import AvlHooks, AvlService, AvlSettings
from avl.tracks import TrackWriter
from dispatch.app.facts import eta_tasks
from dispatch.app.ground import Ground
from dispatch.app.links import other_brokers
from dispatch.app.vehicles import ETA_PERIOD_S


class FollowerRooms:
    """Serve until cancelled; whatever would be a command is the writer's to give."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        settings, sequencer = ground.settings, ground.sequencer
        self.avl = AvlService(
            broker=MqttBroker(settings.vehicles.url),
            also=other_brokers(settings),
            port=sequencer,
            clock=ground.clock,
            live=ground.live,
            settings=AvlSettings(
                prefix=settings.vehicles.prefix, node=settings.node, takes_keys=False
            ),
            tracks=TrackWriter(settings.tracks_path),
            hooks=AvlHooks(is_known=lambda unit_id: unit_id in sequencer.state.units),
        )

    async def run(self) -> None:
        """Keep the live table, the tracks and the ETAs."""
        sequencer = self._ground.sequencer
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.avl.run(), name="avl")
            tasks.create_task(
                self._ground.etas.run(
                    lambda: eta_tasks(sequencer.state), lambda _: None, period_s=ETA_PERIOD_S
                ),
                name="etas",
            )
