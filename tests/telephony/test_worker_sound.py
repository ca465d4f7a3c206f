"""What tells a waiting caller his place: one file a language, found and not listed anywhere."""

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
