"""Whom Kamailio may choose: workers that are ready and free, whatever happens to them or to it."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import BadInput
from telephony.destinations import Destinations
from telephony.kamailio import KamailioControl
from tests.telephony.harness import Gateway, connected, gateway, running, settings, until
from tests.telephony.sip_wire import SDP, Udp, ack, request, with_location
from tests.telephony.test_handover import pidf

URIS = {"w0": "sip:127.0.0.1:1", "w1": "sip:127.0.0.1:2"}


def worker_of(offered: gw.Offered) -> str:
    return offered.call_ref.rpartition("-")[2]


def chosen(one: Gateway) -> set[str]:
    """By name."""
    first = one.settings.pool.sip_port_base
    uris = one.control.destinations_chosen()
    return {
        f"w{i}" for i in range(one.settings.pool.processes) if f"sip:127.0.0.1:{first + i}" in uris
    }


async def becomes(one: Gateway, wanted: set[str]) -> None:
    def holds() -> bool:
        try:
            return chosen(one) == wanted
        except (OSError, BadInput):  # it is just being started again
            return False

    await until(holds, timeout_s=20)


async def killed_until(one: Gateway, worker: str, wanted: set[str]) -> None:
    """Again and again: the pauses between its lives become longer."""
    async with asyncio.timeout(20):
        while chosen(one) != wanted:
            if pid := one.worker_pid(worker):
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.02)


async def test_only_workers_that_are_ready_and_free_are_chosen() -> None:
    async with gateway(workers=3) as one, connected(one.settings) as core:
        await becomes(one, {"w0", "w1", "w2"})
        with Udp(("127.0.0.1", one.settings.kamailio.listen_port)) as trunk:
            assert (await trunk.ask(request("INVITE", body=SDP))).startswith(b"SIP/2.0 1")
            offered = await core.expect(gw.Offered)
            free = {"w0", "w1", "w2"} - {worker_of(offered)}
            await becomes(one, free)  # and not only for as long as a load is remembered
            killed, left = sorted(free)
            await killed_until(one, killed, {left})
            await becomes(one, free)
            os.kill(one.front_pid(), signal.SIGKILL)
            await becomes(one, free)  # the new Kamailio knows who is busy
            await core.release(offered.call_ref)
        await becomes(one, {"w0", "w1", "w2"})


async def test_a_caller_who_still_rings_when_his_worker_dies_rings_on_at_the_next() -> None:
    """At one that is free by now, not then; and with all that came with his call."""
    async with gateway(workers=2) as one, connected(one.settings) as core:
        to = ("127.0.0.1", one.settings.kamailio.listen_port)
        with Udp(to) as other, Udp(to) as trunk:
            await other.send(request("INVITE", body=SDP, call_id="other"))
            before = await core.expect(gw.Offered)
            body, kind = with_location(pidf(13_000))
            invite = request("INVITE", body=body, kind=kind, call_id="his")
            await trunk.send(invite)
            first = await core.expect(gw.Offered, lambda r: r.call_ref != before.call_ref)
            await core.release(before.call_ref)
            await becomes(one, {worker_of(before)})
            os.kill(one.worker_pid(worker_of(first)), signal.SIGKILL)
            calls = {before.call_ref, first.call_ref}
            second = await core.expect(gw.Offered, lambda r: r.call_ref not in calls)
            assert second.caller_number == first.caller_number
            assert second.pidf == first.pidf != ""
            ended = await core.expect(gw.Ended, lambda r: r.call_ref == first.call_ref)
            assert ended.by == "system"
            await core.hold(second.call_ref)
            ok = await trunk.final(b"")
            assert ok.startswith(b"SIP/2.0 200")
            await trunk.send(ack(invite, ok))
            await core.release(second.call_ref)
            await core.expect(gw.Ended, lambda r: r.call_ref == second.call_ref)


async def test_a_spare_takes_the_next_call_while_a_worker_closes_the_files_of_the_last(
    tmp_path: Path,
) -> None:
    made = settings(tmp_path, workers=2)
    made = msgspec.structs.replace(made, pool=msgspec.structs.replace(made.pool, size=1, spares=1))
    async with running(made) as one, connected(made) as core:
        with Udp(("127.0.0.1", made.kamailio.listen_port)) as trunk:
            for _ in range(2):
                seen = len(core.reports)
                invite = request("INVITE", body=SDP)
                answer = await trunk.ask(invite)
                while not answer.startswith(b"SIP/2.0 180"):
                    assert answer.startswith(b"SIP/2.0 1"), answer
                    answer = await trunk.answer()
                offered = await core.expect(gw.Offered, lambda r, n=seen: r in core.reports[n:])
                await core.hold(offered.call_ref)
                ok = await trunk.final(b"")
                assert ok.startswith(b"SIP/2.0 200")
                await trunk.send(ack(invite, ok))
                await core.release(offered.call_ref)
                await core.expect(gw.Ended, lambda r, o=offered: r.call_ref == o.call_ref)
        await becomes(one, {"w0", "w1"})


async def test_a_worker_that_answers_too_late_is_left_out_until_it_is_there_again() -> None:
    async with gateway(workers=2) as one, connected(one.settings) as core:
        stopped = {name: one.worker_pid(name) for name in ("w0", "w1")}
        with Udp(("127.0.0.1", one.settings.kamailio.listen_port)) as trunk:
            os.kill(stopped["w0"], signal.SIGSTOP)
            try:
                # Which of the two is asked first is Kamailio's affair: at most the second is w0.
                for wanted in (b"SIP/2.0 180", b"SIP/2.0 503"):
                    answer = await trunk.ask(request("INVITE", body=SDP))
                    while not answer.startswith(wanted):
                        assert answer.startswith(b"SIP/2.0 1"), answer
                        answer = await trunk.answer()
                offered = await core.expect(gw.Offered)
                assert offered.call_ref.endswith("-w1")
                assert chosen(one) == set()
            finally:
                os.kill(stopped["w0"], signal.SIGCONT)
            await becomes(one, {"w0"})
        assert one.worker_pid("w0") == stopped["w0"]  # the same: it was not killed for it


class _Recorder(KamailioControl):
    """Takes what would be told to Kamailio; `gate` holds each of it back until it is set."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.told: list[tuple[str, bool]] = []
        self.fails = 0

    def set_destination(self, uri: str, *, chosen: bool) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError("no answer")
        self.told.append((uri, chosen))

    def destinations_chosen(self) -> set[str]:
        return {uri for uri in URIS.values() if (uri, True) in self.told[-2:]}


async def told_by(
    changes: Callable[[Destinations], None], fails: int = 0
) -> list[tuple[str, bool]]:
    recorder = _Recorder()
    one = Destinations(recorder, URIS)
    await one.began(())
    recorder.fails = fails
    changes(one)
    running = asyncio.ensure_future(one.run())
    try:
        assert await one.told("w0", 10)
        assert await one.told("w1", 10)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return recorder.told


async def test_what_changes_back_in_time_is_not_told_at_all() -> None:
    def changes(one: Destinations) -> None:
        one.want("w0", chosen=True)
        one.want("w1", chosen=True)
        one.want("w1", chosen=False)

    assert await told_by(changes) == [(URIS["w0"], True)]


async def test_what_kamailio_did_not_hear_is_said_again() -> None:
    def changes(one: Destinations) -> None:
        one.want("w0", chosen=True)

    assert await told_by(changes, fails=2) == [(URIS["w0"], True)]


async def test_nobody_waits_for_ever_for_a_kamailio_that_is_gone() -> None:
    one = Destinations(_Recorder(), URIS)
    one.want("w0", chosen=True)
    assert not await one.told("w0", 0.05)
