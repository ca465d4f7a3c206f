"""Server processes of the tests, each forked from one that has imported all they need: importing
takes one and a half seconds of a core, and the screens' tests start some thirty servers.
"""

import importlib
import multiprocessing
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.console_web.fake_server", "tests.console_web.stories"])


def begin(module: str, arguments: Sequence[str]) -> ForkServerProcess:
    """`python -m <module> <arguments>`, but sooner."""
    process = _FORKS.Process(target=_run, args=(module, tuple(arguments)), daemon=True)
    process.start()
    return process


def _run(module: str, arguments: Sequence[str]) -> None:
    importlib.import_module(module).main(arguments)
