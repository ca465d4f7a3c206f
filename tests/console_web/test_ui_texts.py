"""Both catalogues are whole, the generated types are fresh, the lock file names no host."""

import json
import re
import typing
from enum import StrEnum
from pathlib import Path

import pytest

from console_web import typegen
from dispatch.allocate.hospitals import HOSPITAL_REASONS
from dispatch.allocate.units import UNIT_REASONS
from dispatch.contracts import events, words
from dispatch.contracts.commands import AnyCommand
from dispatch.core.system import ALARMS_BY_HAND

ROOT = Path(__file__).resolve().parents[2]
UI = ROOT / "console_web" / "ui"
LOCALES = UI / "src" / "locales"
LANGUAGES = ("zh", "en")


def flat(value: object, prefix: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        found: dict[str, str] = {}
        for key, part in value.items():
            found |= flat(part, f"{prefix}.{key}" if prefix else str(key))
        return found
    return {prefix: str(value)}


def catalogue(language: str) -> dict[str, str]:
    parts = sorted((LOCALES / language).glob("*.json"))
    return flat({part.stem: json.loads(part.read_text()) for part in parts})


def sources() -> list[Path]:
    return sorted([*UI.glob("src/**/*.vue"), *UI.glob("src/**/*.ts")])


def test_both_catalogues_have_the_same_keys() -> None:
    zh, en = catalogue("zh"), catalogue("en")
    assert zh.keys() == en.keys()
    assert [key for key, text in (zh | en).items() if not text.strip()] == []


def test_both_languages_fill_in_the_same_values() -> None:
    zh, en = catalogue("zh"), catalogue("en")
    slots = re.compile(r"\{\w+\}")
    differ = [k for k in zh if sorted(slots.findall(zh[k])) != sorted(slots.findall(en[k]))]
    assert differ == []


def test_english_is_english() -> None:
    allowed = {"login.subtitle"}
    han = re.compile(r"[\u4e00-\u9fff]")
    assert [k for k, text in catalogue("en").items() if han.search(text) and k not in allowed] == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_every_key_that_a_screen_uses_is_there(path: Path) -> None:
    keys = set(catalogue("zh"))
    text = path.read_text()
    fixed = set(re.findall(r"""\bt\(\s*['"]([a-z_]+\.[\w.]+)['"]""", text))
    fixed |= set(re.findall(r"""\?\s*t\(['"]([\w.]+)['"]""", text))
    assert sorted(key for key in fixed if key not in keys) == []
    # `status.${unit.status}`: the group at least must be there; its words are checked below.
    for prefix in re.findall(r"""\bt\(\s*`([a-z_]+(?:\.[a-z_]+)*)\.?[a-z_]*\$\{""", text):
        assert any(key.startswith(prefix) for key in keys), prefix


GROUPS: dict[str, type[StrEnum]] = {
    "priority": words.Priority,
    "priority_short": words.Priority,
    "status": words.UnitStatus,
    "call": words.CallState,
    "seat": words.SeatState,
    "source": words.LocationSource,
    "skill": words.Skill,
    "capability": words.Capability,
    "answer": words.Answer,
    "close": words.CloseReason,
    "role": words.Role,
}


@pytest.mark.parametrize(("group", "vocabulary"), GROUPS.items(), ids=GROUPS.keys())
def test_every_word_of_the_contracts_has_its_text(group: str, vocabulary: type[StrEnum]) -> None:
    keys = set(catalogue("zh"))
    assert [word for word in vocabulary if f"{group}.{word}" not in keys] == []


def _tags(union: object) -> list[str]:
    return [str(member.__struct_config__.tag) for member in typing.get_args(union)]


def test_every_command_and_event_has_its_text() -> None:
    keys = set(catalogue("zh"))
    wanted = [f"command.{tag}" for tag in _tags(AnyCommand)]
    wanted += [f"event.{tag.removesuffix('.v1')}" for tag in _tags(events.AnyEvent)]
    assert [key for key in wanted if key not in keys] == []


def test_every_refusal_of_the_core_has_its_text() -> None:
    code = re.compile(r"""CommandRefused\(\s*"(\w+)\"""")
    found = {
        match
        for path in (ROOT / "dispatch").rglob("*.py")
        for match in code.findall(path.read_text())
    }
    assert found
    keys = set(catalogue("zh"))
    assert sorted(one for one in found if f"refused.{one}" not in keys) == []


def test_every_reason_of_the_allocator_has_its_text() -> None:
    keys = set(catalogue("zh"))
    assert [one for one in (*UNIT_REASONS, *HOSPITAL_REASONS) if f"why.{one}" not in keys] == []


def test_every_fault_of_the_web_server_has_its_text() -> None:
    code = re.compile(r"""\bFault\(\s*\d{3},\s*"(\w+)\"""")
    server = ROOT / "console_web" / "server"
    found = {match for path in server.glob("*.py") for match in code.findall(path.read_text())}
    assert found
    keys = set(catalogue("zh"))
    recordings = {
        "recording_changed",
        "recording_missing",
        "recording_removed",
    }  # told by the replay page
    assert sorted(one for one in found - recordings if f"refused.{one}" not in keys) == []


def test_every_alarm_that_is_raised_has_its_text() -> None:
    code = re.compile(
        r"""raise_alarm\(\s*draft,\s*f?"([a-z_]+)|RaiseAlarm\(\s*code=f?"([a-z_]+)"""
        r"""|ALARM_\w+ = "([a-z_]+)"""
    )
    found = {
        next(filter(None, groups))
        for folder in ("dispatch", "telephony", "avl", "failover", "console_web")
        for path in (ROOT / folder).rglob("*.py")
        for groups in code.findall(path.read_text())
    }
    assert found
    keys = set(catalogue("zh"))
    assert sorted(one for one in found if f"alarm.{one}" not in keys) == []


def test_the_types_are_those_of_the_server() -> None:
    held = (UI / "src" / "lib" / "types.ts").read_text()
    assert held == typegen.generate(), (
        "stale: python -m console_web.typegen > console_web/ui/src/lib/types.ts"
    )


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((UI / "package-lock.json").read_text())
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []
    pins = json.loads((UI / "package.json").read_text())
    versions = [*pins["dependencies"].values(), *pins["devDependencies"].values()]
    assert [one for one in versions if not re.fullmatch(r"\d+\.\d+\.\d+", one)] == []


def test_the_screens_and_the_core_agree_on_alarms_cleared_by_hand() -> None:
    text = (UI / "src" / "lib" / "alarmkeys.ts").read_text()
    assert set(re.findall(r"'([a-z_]+)',", text)) == ALARMS_BY_HAND
    assert all(f"alarm.{code}" in catalogue("zh") for code in ALARMS_BY_HAND)
