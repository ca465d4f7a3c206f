"""Signs of life of half of a pair: the pair's own part of the health, and its metrics."""

from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from console_web.server.deps import PartHealth
from dispatch.app.active import ActiveRooms
from dispatch.app.ground import Ground
from dispatch.app.signs import Signs
from dispatch.contracts.ports import Journal
from failover.machine import PairMachine
from failover.status import Status

ROLES = ("starting", "following", "candidate", "opening", "active", "handing", "blocked")


class PairSigns(Collector):
    """`parts` for `/health`; itself a collector for `/metrics`."""

    def __init__(
        self,
        ground: Ground,
        *,
        journal: Journal,
        rooms: Callable[[], ActiveRooms | None],
        machine: PairMachine,
    ) -> None:
        self._signs = Signs(ground, journal=journal, rooms=rooms)
        self._rooms = rooms
        self._machine = machine
        ground.hub.metrics.registry.register(self)

    async def parts(self) -> dict[str, PartHealth]:
        """A machine that follows takes commands for the one that writes."""
        parts = await self._signs.health.parts()
        status = self._status()
        if status is None:
            parts["pair"] = PartHealth(ok=False, needed=True, detail="starting")
            return parts
        if self._rooms() is None:
            del parts["sequencer"]
        writes = status.role == "active" and "journal_stuck" not in status.alarms
        able = writes or (status.role == "following" and any(status.channels.values()))
        alarms = " ".join(status.alarms)
        parts["pair"] = PartHealth(
            ok=able and not alarms, needed=not able, detail=f"{status.role} {alarms}".strip()
        )
        return parts

    def _status(self) -> Status | None:
        return self._machine.status() if self._machine.keeper is not None else None

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing is collected before the first question: the pair may not have begun."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """See `Collector`."""
        status = self._status()
        if status is None:
            return
        role = GaugeMetricFamily("d120_pair_role", "1 for the role it has", labels=["role"])
        for name in ROLES:
            role.add_metric([name], name == status.role)
        yield role
        plain = {
            "epoch": ("The epoch that it writes or follows", status.epoch),
            "lag_records": ("Records that the standby has not acknowledged", self._lag(status)),
            "in_sync": ("Machines that have all that was acknowledged", len(status.in_sync)),
            "committed_seq": ("The newest record that may be told", status.committed_seq),
            "witness_up": ("Whether the witness is connected", status.witness),
            "alarms": ("Alarms of the pair found on this machine", len(status.alarms)),
            "copies_behind_bytes": ("Recordings and tracks that lack here", status.copies_bytes),
            "copies_lag_seconds": ("For how long they have", status.copies_lag_ms / 1000),
            "bad_frames": ("Frames of the links that were no good", status.bad_frames),
        }
        for name, (what, value) in plain.items():
            yield GaugeMetricFamily(f"d120_pair_{name}", what, value=value)
        channels = GaugeMetricFamily(
            "d120_pair_channel_up", "Whether a channel is connected", labels=["channel"]
        )
        for name, up in status.channels.items():
            channels.add_metric([name], up)
        yield channels

    def _lag(self, status: Status) -> int:
        return max(0, status.lag) if status.in_sync else 0
