"""What tells a waiting caller his place: one file a language, found and not listed anywhere."""

import subprocess
import sys
from pathlib import Path

from telephony.worker_sound import place_files


def test_a_language_is_added_by_its_files(tmp_path: Path) -> None:
    for language in ("en", "zh"):
        (tmp_path / language).mkdir()
        (tmp_path / language / "2.wav").touch()
    told = [Path(path).parent.name for path in place_files(tmp_path, 2)]
    assert told == ["zh", "en"]
    for language in ("ug", "mn"):
        (tmp_path / language).mkdir()
        (tmp_path / language / "2.wav").touch()
    told = [Path(path).parent.name for path in place_files(tmp_path, 2)]
    assert told == ["zh", "en", "mn", "ug"]
    assert place_files(tmp_path, 3) == []
    assert place_files(tmp_path, 0) == []


def test_a_sound_that_is_stopped_rests_before_it_is_destroyed(tmp_path: Path) -> None:
    """Else PJSIP's event thread may come to it a moment later, and the process and its call die."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.telephony.resting_sound", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.endswith("rested\n"), done.stderr
