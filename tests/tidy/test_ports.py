"""The suite's workers do not take each other's ports."""

import re
import socket
from pathlib import Path

from tests import ports
from tests.ports import PARTS, PORTS_A_PART, Part, free_port, free_ports

TESTS = Path(__file__).parents[1]


def test_workers_have_parts_that_do_not_touch() -> None:
    taken = [port for worker in range(PARTS) for port in Part(worker).ports]
    assert len(set(taken)) == len(taken) == PARTS * PORTS_A_PART
    assert max(taken) < 20_000  # there the demo and the bench begin


def test_a_part_is_gone_through_before_a_port_comes_again() -> None:
    part = Part(1, skip=7)
    firsts = [part.take(10) for _ in range(PORTS_A_PART // 10)]
    assert len(set(firsts)) == len(firsts)
    assert all(first in part.ports and first + 9 in part.ports for first in firsts)


def test_a_port_in_use_is_passed_over() -> None:
    before = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", before + 2))
        first = free_ports(3)
    assert before + 2 not in range(first, first + 3)


def test_nobody_looks_for_ports_by_himself() -> None:
    own = re.compile(r"def _?(free|unused)_ports?\(")
    found = [
        path.name
        for path in TESTS.rglob("*.py")
        if path != Path(ports.__file__) and own.search(path.read_text(encoding="utf-8"))
    ]
    assert not found
