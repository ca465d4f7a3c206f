"""What all tests share: how Hypothesis searches, and what runs beside what.

`make test` searches the same examples every time, so that a red run means a change and not chance;
`make soak` searches at random, and longer.

`make test` has two workers, since most tests wait for real parts. A file's tests stay together; so
do those of the folders that start whole machines or share something dear.
"""

import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# How fast examples come says something of the machine, not of the code.
PATIENT = (HealthCheck.too_slow,)
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=PATIENT, print_blob=True
)
settings.register_profile(
    "search", deadline=None, max_examples=1000, suppress_health_check=PATIENT, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

TOGETHER = ("tests/e2e", "tests/simulators/region")
LONG_FIRST = ("tests/e2e/", "tests/telephony/", "tests/app/", "tests/console_web/")


class ByFile(LoadScopeScheduling):
    """A worker takes a whole file, or one of the folders above."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.rpartition("/")[0]
        return folder if folder in TOGETHER else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    config.option.loadscopereorder = False  # it would put the many before the long
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that both workers end at about the same time."""

    def rank(item: pytest.Item) -> int:
        return next((i for i, at in enumerate(LONG_FIRST) if item.nodeid.startswith(at)), 99)

    items.sort(key=rank)
