"""Ports of loopback for what a test starts.

Each worker process of the suite has a part of the range for itself, and takes the next port of it
each time: nobody else is given a port between its being found free and its being opened. The range
lies below what the kernel hands out by itself (`ip_local_port_range`), and beside what
`simulators.bench.machine` and the demo choose from.
"""

import os

from dispatch.app.ports import is_free

FIRST, PARTS, PORTS_A_PART = 10_000, 8, 1250


def free_port(host: str = "127.0.0.1") -> int:
    """One that neither TCP nor UDP uses."""
    return free_ports(1, host)


def free_ports(count: int, host: str = "127.0.0.1") -> int:
    """The first of `count` in a row."""
    for _ in range(PORTS_A_PART):
        first = _mine.take(count)
        if all(is_free(port, host=host) for port in range(first, first + count)):
            return first
    raise AssertionError(f"no {count} ports in a row are free")


class Part:
    """One worker's ports, one after the other and then from the start again."""

    def __init__(self, index: int, skip: int = 0) -> None:
        start = FIRST + index % PARTS * PORTS_A_PART
        self.ports = range(start, start + PORTS_A_PART)
        self._next = start + skip % PORTS_A_PART

    def take(self, count: int) -> int:
        """The first of the next `count`."""
        if self._next + count > self.ports.stop:
            self._next = self.ports.start
        first, self._next = self._next, self._next + count
        return first


# Two suites side by side have the same parts: they begin at different places of them.
_mine = Part(
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")), skip=os.getpid() * 97
)
