"""One whole machine for a test: region made once, ports of its own, nothing left behind."""

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import expect

from dispatch.app.demo import PASSWORD
from dispatch.contracts.things import Register
from simulators.bench.machine import Machine

# A machine that tests on both its cores is slow to draw; what is asserted is what, not when.
expect.set_options(timeout=15_000)

SEED = 120
UNITS = 24


@pytest.fixture(scope="session")
def region_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic region, as the first start of the demo makes it."""
    folder = tmp_path_factory.mktemp("region") / "pack"
    subprocess.run(
        [
            *(sys.executable, "-m", "simulators.region", "--out", str(folder)),
            *("--seed", str(SEED), "--units", str(UNITS)),
        ],
        check=True,
        capture_output=True,
        timeout=110,
    )
    return folder


@pytest.fixture(scope="session")
def register(region_pack: Path) -> Register:
    return msgspec.json.decode((region_pack / "register.json").read_bytes(), type=Register)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Sockets lie in it: its path has to be short."""
    folder = Path(tempfile.mkdtemp(prefix="d120-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def machine(short_folder: Path, region_pack: Path) -> AsyncIterator[Machine]:
    """Up and quiet: the demo's region and accounts, and nobody who dials or drives."""
    rng = random.Random(short_folder.name)
    async with Machine(short_folder / "m", rng=rng, region=region_pack, options=()) as one:
        yield one


@pytest.fixture
def password() -> str:
    return PASSWORD
