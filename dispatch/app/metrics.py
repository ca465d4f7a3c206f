"""What the core counts, for Prometheus. Units, hospitals and codes only: nothing of any person."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dispatch.contracts.commands import Accepted, CommandResult
from dispatch.contracts.ids import HospitalId
from dispatch.hospital.delivery import LinkHealth, LinkState


class SequencerMetrics:
    """The writer's counters, in a registry that the web server shows."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.commands = Counter(
            "d120_sequencer_commands",
            "Commands by outcome: accepted, repeated, refused, quarantined, unknown",
            ["outcome"],
            registry=self.registry,
        )
        self.batch = Histogram(
            "d120_sequencer_batch_commands",
            "Commands decided together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self.commit_s = Histogram(
            "d120_sequencer_commit_seconds",
            "From handing a group to the journal until it is durable",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=self.registry,
        )

    def told(self, result: CommandResult) -> None:
        """Count an answer."""
        if isinstance(result, Accepted):
            outcome = "repeated" if result.repeated else "accepted"
        else:
            outcome = "quarantined" if result.code == "quarantined" else "refused"
        self.commands.labels(outcome=outcome).inc()


class Looks(Collector):
    """Gauges that are read when somebody asks: nothing is counted twice."""

    def __init__(
        self,
        *,
        numbers: Callable[[], Mapping[str, float]],
        vehicles: Callable[[], Mapping[str, int]],
        feeds: Callable[[], Mapping[HospitalId, LinkHealth]],
        free_bytes: Callable[[], Mapping[str, int]],
    ) -> None:
        self._free_bytes = free_bytes
        self._numbers = numbers
        self._vehicles = vehicles
        self._feeds = feeds

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """See `Collector`."""
        for name, value in self._numbers().items():
            yield GaugeMetricFamily(f"d120_{name}", NUMBERS[name], value=value)
        vehicles = GaugeMetricFamily(
            "d120_vehicles", "What the vehicles' service counted since its start", labels=["what"]
        )
        for what, count in sorted(self._vehicles().items()):
            vehicles.add_metric([what], count)
        yield vehicles
        room = GaugeMetricFamily(
            "d120_disk_free_bytes", "Room on the disk with this folder", labels=["folder"]
        )
        for folder, free in self._free_bytes().items():
            room.add_metric([folder], free)
        yield room
        yield from self._of_feeds()

    def _of_feeds(self) -> Iterable[GaugeMetricFamily]:
        links = self._feeds()
        for name, what in FEEDS.items():
            family = GaugeMetricFamily(f"d120_feed_{name}", what, labels=["hospital"])
            for hospital_id, link in sorted(links.items()):
                value = link.state is LinkState.OK if name == "up" else getattr(link, name)
                family.add_metric([hospital_id], value)
            yield family


NUMBERS = {
    "sequencer_inbox_commands": "Commands that wait to be decided",
    "sequencer_reader_faults": "Commits that a reader could not follow",
    "journal_seq": "The last record's number: records since the journal began",
    "alarms": "Alarms that stand",
    "gateway_up": "Whether the telephone gateway answers",
    "gateway_away_seconds": "For how long it has not",
    "gateway_reconnects": "Links to it that were lost since the start",
    "gateway_orders_dropped": "Orders that were given up for want of room",
    "broker_up": "Whether all connections to the vehicles' broker stand",
}
"""All plain gauges, with what they say."""

FEEDS = {
    "up": "Whether the hospital's system answered last",
    "backlog": "Messages that wait for it",
    "delivered": "Messages that it took since the start",
    "retried": "Messages that were said again",
    "given_up": "Messages that were given up",
}
