"""What can happen to a pair, each with its repair. `victim` is the machine that writes."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import msgspec

from simulators.pair_net.pair import NetPair, PairFailed, other_of

Act = Callable[[NetPair, str], Awaitable[None]]
LOSS_SHARE = 0.2


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """How it is brought about and mended; both are given the pair and who wrote before."""

    name: str
    what: str
    inflict: Act
    repair: Act
    aim_worst_s: float | None = None
    aim_median_s: float | None = None
    with_calls_s: float = 1.5
    """So long at least it lasts where calls are on: until they are rung back, if they must be."""


async def _nothing(_pair: NetPair, _writer: str) -> None:
    pass


async def _heal(pair: NetPair, _writer: str) -> None:
    await pair.nets.heal()


async def _kill(pair: NetPair, writer: str) -> None:
    await pair.kill(writer)


async def _start(pair: NetPair, writer: str) -> None:
    await pair.start(writer)


async def _kill_standby(pair: NetPair, writer: str) -> None:
    await pair.kill(other_of(writer))


async def _start_standby(pair: NetPair, writer: str) -> None:
    await pair.start(other_of(writer))


async def _freeze(pair: NetPair, writer: str) -> None:
    pair.freeze(writer)


async def _thaw(pair: NetPair, writer: str) -> None:
    pair.thaw(writer)


async def _partition(pair: NetPair, writer: str) -> None:
    await pair.nets.isolate(writer)


async def _cut_both(pair: NetPair, _writer: str) -> None:
    await pair.nets.cut("a", "b", "lan")
    await pair.nets.cut("a", "b", "cross")


async def _cut_lan(pair: NetPair, _writer: str) -> None:
    await pair.nets.cut("a", "b", "lan")


async def _cut_cross(pair: NetPair, _writer: str) -> None:
    await pair.nets.cut("a", "b", "cross")


async def _deaf_standby(pair: NetPair, writer: str) -> None:
    for link in ("lan", "cross"):
        await pair.nets.drop(writer, other_of(writer), link)


async def _deaf_writer(pair: NetPair, writer: str) -> None:
    for link in ("lan", "cross"):
        await pair.nets.drop(other_of(writer), writer, link)


async def _loss(pair: NetPair, _writer: str) -> None:
    for link in ("lan", "cross"):
        await pair.nets.drop("a", "b", link, share=LOSS_SHARE)
        await pair.nets.drop("b", "a", link, share=LOSS_SHARE)


async def _kill_witness(pair: NetPair, _writer: str) -> None:
    await pair.kill("w")


async def _start_witness(pair: NetPair, _writer: str) -> None:
    await pair.start("w")


async def _kill_valkey(pair: NetPair, writer: str) -> None:
    os.kill(pair.valkey_pid(writer), signal.SIGKILL)


async def _planned(pair: NetPair, writer: str) -> None:
    await pair.switchover(writer)


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="kill",
        what="kill -9 of everything of the writer",
        inflict=_kill,
        repair=_start,
        aim_median_s=1.0,
        aim_worst_s=1.5,
    ),
    Fault(
        name="freeze",
        what="SIGSTOP of everything of the writer",
        inflict=_freeze,
        repair=_thaw,
        aim_worst_s=2.0,
        with_calls_s=7.0,
    ),
    Fault(
        name="partition",
        what="the writer reaches neither the other machine nor the witness",
        inflict=_partition,
        repair=_heal,
        aim_worst_s=2.0,
        with_calls_s=7.0,
    ),
    Fault(
        name="planned",
        what="dispatch120 switchover",
        inflict=_planned,
        repair=_nothing,
        aim_worst_s=0.3,
    ),
    Fault(
        name="both_links",
        what="both links between the machines cut, the witness reached by both",
        inflict=_cut_both,
        repair=_heal,
    ),
    Fault(name="lan", what="the link that carries all cut", inflict=_cut_lan, repair=_heal),
    Fault(name="cross", what="the second link cut", inflict=_cut_cross, repair=_heal),
    Fault(
        name="deaf_standby",
        what="what the writer says to the other is lost, on both links",
        inflict=_deaf_standby,
        repair=_heal,
    ),
    Fault(
        name="deaf_writer",
        what="what the other says to the writer is lost, on both links",
        inflict=_deaf_writer,
        repair=_heal,
    ),
    Fault(
        name="loss",
        what="a fifth of all packets between the machines lost",
        inflict=_loss,
        repair=_heal,
    ),
    Fault(
        name="standby",
        what="kill -9 of everything of the standby",
        inflict=_kill_standby,
        repair=_start_standby,
    ),
    Fault(
        name="witness", what="kill -9 of the witness", inflict=_kill_witness, repair=_start_witness
    ),
    Fault(
        name="valkey",
        what="kill -9 of the writer's valkey-server alone",
        inflict=_kill_valkey,
        repair=_nothing,
    ),
)


async def _stale(pair: NetPair, writer: str) -> None:
    """The other one dies, the writer goes on alone and dies, the other one is back first."""
    standby = other_of(writer)
    await pair.kill(standby)
    await pair.until(writer, in_sync=(writer,))
    await pair.until_acknowledged(5)
    await pair.kill(writer)
    await pair.start(standby)
    await pair.until(standby, role="candidate", alarm="cannot_take_over")


async def _cut_then_kill(pair: NetPair, writer: str) -> None:
    """The writer goes on alone behind cut links, dies, and the links come back."""
    await _cut_both(pair, writer)
    await pair.until(writer, in_sync=(writer,))
    await pair.until_acknowledged(5)
    await pair.kill(writer)
    await pair.nets.heal()


async def _kill_all(pair: NetPair, _writer: str) -> None:
    for name in ("a", "b", "w"):
        await pair.kill(name)


async def _start_all(pair: NetPair, _writer: str) -> None:
    await asyncio.gather(*(pair.start(name) for name in ("w", "a", "b")))


async def _kill_witness_then_writer(pair: NetPair, writer: str) -> None:
    await pair.kill("w")
    await pair.kill(writer)


async def _start_witness_then_writer(pair: NetPair, writer: str) -> None:
    await pair.start("w")
    await pair.start(writer)


SILENT_FAULTS: tuple[Fault, ...] = (
    Fault(
        name="stale_returns",
        what="standby dies, the writer goes on alone and dies, the stale standby is back first",
        inflict=_stale,
        repair=_start,
    ),
    Fault(
        name="cut_then_kill",
        what="the writer goes on alone behind cut links and dies",
        inflict=_cut_then_kill,
        repair=_start,
    ),
    Fault(name="all", what="kill -9 of all three", inflict=_kill_all, repair=_start_all),
    Fault(
        name="witness_then_writer",
        what="kill -9 of the witness, then of the writer",
        inflict=_kill_witness_then_writer,
        repair=_start_witness_then_writer,
    ),
)
"""Until they are mended nothing is acknowledged, and must not be."""


def fault_named(name: str) -> Fault:
    """By its name.

    Raises:
        PairFailed: there is none of that name.
    """
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise PairFailed(f"no fault {name!r}: one of {', '.join(f.name for f in FAULTS)}")
