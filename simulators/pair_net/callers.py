"""People who call a pair: `python -m simulators.pair_net.callers HOST SIP_A SIP_B`.

As a trunk that knows both machines does: a call goes to the one that took the last, and to the
other when that one refuses or is silent. Each waits in the queue for some while. One line at the
end: how many were taken, how many refused.
"""

import asyncio
import signal
import sys
from itertools import count

from simulators.callers import messages as say
from simulators.callers.control import AgentProcess

EVERY_S = 4.0
STAY_S = 15.0
SILENT_S = 2.0


async def main(host: str, places: list[str]) -> None:
    """Until SIGTERM."""
    taken = refused = 0
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AgentProcess(say.AgentSettings(host=host)) as agent:
        print("ready", flush=True)  # noqa: T201 - whoever started it waits for this line
        ends: list[tuple[float, str]] = []
        loop = asyncio.get_running_loop()
        for number in count():
            if stop.is_set():
                break
            for place in tuple(places):
                call = f"{number}-{place}"
                if await _taken(agent, call, place, f"199{number:08}"):
                    taken += 1
                    ends.append((loop.time() + STAY_S, call))
                    break
                refused += 1
                places.reverse()
            while ends and ends[0][0] <= loop.time():
                await agent.send(say.Hangup(call=ends.pop(0)[1]))
            try:
                await asyncio.wait_for(stop.wait(), EVERY_S)
            except TimeoutError:
                continue
    print(f"taken {taken} refused {refused}", flush=True)  # noqa: T201


async def _taken(agent: AgentProcess, call: str, place: str, number: str) -> bool:
    await agent.send(say.Dial(call=call, to=f"sip:120@{place}", number=number, play="tone:440"))
    try:
        async with asyncio.timeout(SILENT_S):
            told = await agent.expect(say.Line, lambda e: _answers(e, call))
    except TimeoutError:
        await agent.send(say.Hangup(call=call))
        return False
    return isinstance(told, say.Trying)


def _answers(event: say.Line, call: str) -> bool:
    return isinstance(event, say.Trying | say.Disconnected | say.Fault) and event.call == call


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
