"""What the web server counts. One registry a server, so that tests and roles do not share."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class WebMetrics:
    """The counters of one web server."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.clients = Gauge("d120_web_clients", "Screens connected", registry=self.registry)
        self.deltas = self._counter("deltas", "Deltas queued to screens")
        self.snapshots = self._counter("snapshots", "Snapshots sent")
        self.resumes = self._counter("resumes", "Screens that resumed without a snapshot")
        self.overflows = self._counter("overflows", "Slow screens that lost deltas to a snapshot")
        self.malformed = self._counter("malformed_frames", "Frames of screens that were no good")
        self.send_timeouts = self._counter("send_timeouts", "Screens cut off for not reading")
        self.logins_failed = self._counter("logins_failed", "Wrong passwords")
        self.commands = Counter(
            "d120_web_commands", "Commands by outcome", ["outcome"], registry=self.registry
        )
        self.command_s = Histogram(
            "d120_web_command_seconds",
            "From a command's last byte to its answer",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )

    def _counter(self, name: str, what: str) -> Counter:
        return Counter(f"d120_web_{name}", what, registry=self.registry)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
