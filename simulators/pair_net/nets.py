"""Network namespaces for a pair: machines `a` and `b`, the witness `w`, a client `c`.

    a, b, w, c  on one switch ("lan", 10.120.0.x);  a = b  also by a cable ("cross", 10.120.1.x)

Nothing outside of them is touched. They are named after a random mark and removed at the end.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from dispatch.contracts.errors import Dispatch120Error

MACHINES = ("a", "b", "w", "c")
LAN = {"a": "10.120.0.1", "b": "10.120.0.2", "w": "10.120.0.3", "c": "10.120.0.4"}
CROSS = {"a": "10.120.1.1", "b": "10.120.1.2"}
COMMAND_S = 10.0
_SWITCH = "s"


class NetsFailed(Dispatch120Error):
    """A namespace, a wire or a rule could not be made."""


def refusal() -> str:
    """Why there can be no namespaces here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in ("ip", "iptables") if shutil.which(name) is None]
    if missing:
        return f"network namespaces need {' and '.join(missing)} (Debian: iproute2, iptables)"
    probe = f"d120-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)  # noqa: S603, S607
    if made.returncode:
        return f"no network namespaces here: {made.stderr.decode(errors='replace').strip()}"
    subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)  # noqa: S603, S607
    return ""


class Nets:
    """`async with Nets() as nets:` and `nets.inside("a", command)` for whoever is to run there."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(3)
        self._rules: list[tuple[str, tuple[str, ...]]] = []

    def name(self, machine: str) -> str:
        """The namespace of a machine."""
        return f"d120-{self._mark}-{machine}"

    def inside(self, machine: str, command: Sequence[str]) -> list[str]:
        """The command that runs `command` in a machine's namespace, under the same process id."""
        return ["ip", "netns", "exec", self.name(machine), *command]

    async def __aenter__(self) -> Self:
        try:
            for machine in (*MACHINES, _SWITCH):
                await _run("ip", "netns", "add", self.name(machine))
                await self._ip(machine, "link", "set", "lo", "up")
            await self._ip(_SWITCH, "link", "add", "switch", "type", "bridge")
            await self._ip(_SWITCH, "link", "set", "switch", "up")
            for machine in MACHINES:
                await self._wire(machine, "lan", _SWITCH, f"to-{machine}")
                await self._ip(_SWITCH, "link", "set", f"to-{machine}", "master", "switch", "up")
                await self._address(machine, "lan", LAN[machine])
            await self._wire("a", "cross", "b", "cross")
            for machine, address in CROSS.items():
                await self._address(machine, "cross", address)
        except BaseException:
            await self._remove()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._remove()

    async def _remove(self) -> None:
        for machine in (*MACHINES, _SWITCH):
            with suppress(NetsFailed):  # one that was never made
                await _run("ip", "netns", "del", self.name(machine))

    async def _wire(self, one: str, one_end: str, other: str, other_end: str) -> None:
        ends = ("peer", "name", other_end, "netns", self.name(other))
        await self._ip(one, "link", "add", "name", one_end, "type", "veth", *ends)

    async def _address(self, machine: str, link: str, address: str) -> None:
        await self._ip(machine, "address", "add", f"{address}/24", "dev", link)
        await self._ip(machine, "link", "set", link, "up")

    async def _ip(self, machine: str, *words: str) -> None:
        await _run("ip", "-n", self.name(machine), *words)

    # ---- faults of the network

    async def drop(self, source: str, to: str, link: str, *, share: float = 1.0) -> None:
        """From now on lose this share of the packets from one machine to another on a link."""
        address = (LAN if link == "lan" else CROSS)[source]
        some = ("-m", "statistic", "--mode", "random", "--probability", f"{share:.3f}")
        rule = ("INPUT", "-i", link, "-s", address, *(some if share < 1 else ()), "-j", "DROP")
        await self._iptables(to, "-A", rule)
        self._rules.append((to, rule))

    async def cut(self, one: str, other: str, link: str) -> None:
        """Both ways."""
        await self.drop(one, other, link)
        await self.drop(other, one, link)

    async def isolate(self, machine: str) -> None:
        """From the other machine, on both links, and from the witness; clients still reach it."""
        other = "b" if machine == "a" else "a"
        for link in ("lan", "cross"):
            await self.cut(machine, other, link)
        await self.cut(machine, "w", "lan")

    async def heal(self) -> None:
        """Undo all of it."""
        rules, self._rules = self._rules, []
        for machine, rule in rules:
            await self._iptables(machine, "-D", rule)

    async def _iptables(self, machine: str, act: str, rule: tuple[str, ...]) -> None:
        chain, *rest = rule
        await _run(*self.inside(machine, ["iptables", "-w", act, chain, *rest]))


def links_between(one: str, other: str) -> Iterator[str]:
    """The links on which two machines reach each other."""
    yield "lan"
    if {one, other} == {"a", "b"}:
        yield "cross"


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(COMMAND_S):
        said, _ = await process.communicate()
    if process.returncode:
        raise NetsFailed(f"{' '.join(command)}: {said.decode(errors='replace').strip()}")
