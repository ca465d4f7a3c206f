"""A core's signs of life: what `GET /health` and `GET /metrics` look at, whichever role it has."""

from collections.abc import Callable

from dispatch.app.active import ActiveRooms
from dispatch.app.disk_room import DiskRoom
from dispatch.app.ground import Ground
from dispatch.app.health import Health
from dispatch.app.metrics import Looks
from dispatch.contracts.ids import HospitalId
from dispatch.contracts.ports import Journal
from dispatch.hospital.delivery import LinkHealth


class Signs:
    """`rooms` are the writer's, None while another machine writes."""

    def __init__(
        self, ground: Ground, *, journal: Journal, rooms: Callable[[], ActiveRooms | None]
    ) -> None:
        self._ground = ground
        self._rooms = rooms
        ground.hub.metrics.registry.register(
            Looks(
                numbers=self._numbers,
                vehicles=self._vehicles,
                feeds=self._feeds,
                free_bytes=DiskRoom.of(ground.settings).free_bytes,
            )
        )
        self.health = Health(
            journal=journal,
            sequencer=ground.sequencer,
            clock=ground.clock,
            gateway_away_ms=self._gateway_away_ms,
            broker_connected=self._broker_connected,
            feeds=self._feeds,
        )

    def _feeds(self) -> dict[HospitalId, LinkHealth]:
        rooms = self._rooms()
        return rooms.feed_links() if rooms is not None else {}

    def _vehicles(self) -> dict[str, int]:
        rooms = self._rooms()
        return rooms.avl.stats() if rooms is not None else {}

    def _gateway_away_ms(self) -> int:
        rooms = self._rooms()
        return rooms.telephony.away_ms if rooms is not None else 0

    def _broker_connected(self) -> bool:
        rooms = self._rooms()
        return rooms is None or rooms.avl.connected

    def _numbers(self) -> dict[str, float]:
        """The plain gauges of `metrics.NUMBERS`."""
        sequencer, rooms = self._ground.sequencer, self._rooms()
        numbers: dict[str, float] = {
            "sequencer_inbox_commands": sequencer.waiting,
            "sequencer_reader_faults": sequencer.reader_faults,
            "journal_seq": sequencer.state.seq,
            "alarms": len(sequencer.state.alarms),
        }
        if rooms is not None:
            telephony = rooms.telephony
            numbers |= {
                "gateway_up": telephony.connected,
                "gateway_away_seconds": telephony.away_ms / 1000,
                "gateway_reconnects": telephony.reconnects,
                "gateway_orders_dropped": telephony.dropped,
                "broker_up": rooms.avl.connected,
            }
        return numbers
