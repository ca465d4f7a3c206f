"""One built region for all tests of this folder."""

from pathlib import Path

import pytest

from avl.region.pack import Region, load_region
from simulators.region.build import build_region


@pytest.fixture(scope="session")
def region(tmp_path_factory: pytest.TempPathFactory) -> Region:
    folder: Path = tmp_path_factory.mktemp("region")
    build_region(folder, hospital_feed="mllp://127.0.0.1:2575")
    return load_region(folder)
