"""Command line: `python -m simulators.operator --port 8130`; the token by D120_OPERATOR_TOKEN."""

import argparse
import asyncio
import os

import uvicorn

from simulators.operator.service import Behaviour, OperatorService


def main() -> None:
    """Serve until ended."""
    options = argparse.ArgumentParser(prog="simulators.operator", description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--token", default=os.environ.get("D120_OPERATOR_TOKEN", ""))
    options.add_argument("--delay-ms", type=int, default=20, help="of every look-up")
    given = options.parse_args()
    service = OperatorService(given.token, Behaviour(delay_s=given.delay_ms / 1000))
    config = uvicorn.Config(
        service.app, host=given.host, port=given.port, log_level="warning", access_log=False
    )
    asyncio.run(_serve(uvicorn.Server(config)))


async def _serve(server: uvicorn.Server) -> None:
    serving = asyncio.ensure_future(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.02)
    if server.started:
        print("ready", flush=True)  # noqa: T201 - the parent waits for this line
    await serving


if __name__ == "__main__":
    main()
