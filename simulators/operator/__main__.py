"""Command line: `python -m simulators.operator --port 8130 --token …`."""

import argparse
import asyncio

import uvicorn

from simulators.operator.service import Behaviour, OperatorService


def main() -> None:
    """Serve until ended."""
    options = argparse.ArgumentParser(prog="simulators.operator", description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--token", default="")
    options.add_argument("--delay-ms", type=int, default=20, help="of every look-up")
    given = options.parse_args()
    service = OperatorService(given.token, Behaviour(delay_s=given.delay_ms / 1000))
    config = uvicorn.Config(
        service.app, host=given.host, port=given.port, log_level="warning", access_log=False
    )
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
