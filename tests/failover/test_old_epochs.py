"""Whoever acts outside refuses an older epoch: take a refusal out of the program, a test fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAFEGUARDS = {
    "journal": (
        "dispatch/journal/valkey.py",
        "if epoch < stored then return {'STALE', stored} end",
        "",
        "tests/journal/test_contract.py",
    ),
    "gateway": (
        "telephony/link.py",
        "if hello.epoch < self._epochs.epoch:",
        "if False:",
        "tests/telephony/test_link.py::test_a_newer_epoch_deposes_an_older_one",
    ),
    "gateway's disk": (
        "telephony/link.py",
        "self.epoch = int(text) if text.isdigit() else 0",
        "self.epoch = 0",
        "tests/telephony/test_link.py::test_the_greatest_epoch_is_remembered",
    ),
    "vehicles' service": (
        "avl/missions.py",
        "if body.epoch < self.epoch:",
        "if False:",
        "tests/avl/test_service.py::test_an_older_epoch_and_a_wrong_payload_are_refused",
    ),
    "device": (
        "simulators/fleet/vehicle.py",
        "if body.epoch < self._epoch or",
        "if",
        "tests/simulators/fleet/test_vehicle.py"
        "::test_an_older_epoch_another_unit_and_junk_are_nothing",
    ),
    "hospital's feed": (
        "dispatch/hospital/delivery.py",
        "if issued.epoch < self._epoch:",
        "if False:",
        "tests/hospital/test_delivery.py"
        "::test_an_older_epoch_is_refused_and_what_it_asked_for_is_dropped",
    ),
    "hospital's backlog": (
        "dispatch/hospital/delivery.py",
        "elif item.epoch < self._epoch:",
        "elif False:",
        "tests/hospital/test_delivery.py"
        "::test_an_older_epoch_is_refused_and_what_it_asked_for_is_dropped",
    ),
}


def without(folder: Path, file: str, words: str, instead: str) -> None:
    """The project in a folder, all links but for one file, in which something is different."""
    text = (ROOT / file).read_text(encoding="utf-8")
    assert text.count(words) == 1, f"{words!r} is not once in {file}"
    here, there = folder, ROOT
    for name in Path(file).parts:
        for entry in there.iterdir():
            if entry.name != name and not entry.name.startswith((".", "__pycache__")):
                (here / entry.name).symlink_to(entry)
        here, there = here / name, there / name
        if there.is_dir():
            here.mkdir()
    here.write_text(text.replace(words, instead), encoding="utf-8")


@pytest.mark.soak
@pytest.mark.parametrize("who", SAFEGUARDS)
def test_without_its_refusal_a_test_fails(who: str, tmp_path: Path) -> None:
    file, words, instead, test = SAFEGUARDS[who]
    without(tmp_path, file, words, instead)
    done = subprocess.run(
        [*(sys.executable, "-m", "pytest", "-x", "--timeout=30", "-p", "no:cacheprovider"), test],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1, done.stdout[-2000:]  # 1: collected, run, and failed
