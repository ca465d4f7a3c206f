"""Golden stories: commands above the line, what they must make happen below it.

A command is `seconds who name {fields}`; below, `!` is an event, `>` an effect, `x` a refusal.
After a change that is meant: `pytest tests/timelines --rewrite`, and read the difference.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dispatch.contracts.commands import AnyCommand, Envelope
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CommandId
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role
from dispatch.core.check import check_state
from dispatch.core.decide import decide
from dispatch.core.draft import Context
from dispatch.core.effects import effects_of
from tests.core.story import DAY_MS, HERE, PROTOCOLS, Story

STORIES = sorted(Path(__file__).parent.glob("*.txt"))
LINE = "----"
LOCATION = msgspec.json.encode(HERE).decode()


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Times as seconds of the story; what changes with every edit of the protocols left out."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in ("type", "protocol", "position")}
    if isinstance(value, list):
        return [plain(v) for v in value]
    is_time = isinstance(value, int) and abs(value - DAY_MS) < 86_400_000
    return f"@{(value - DAY_MS) / 1000:g}" if is_time else value


def told(mark: str, thing: msgspec.Struct, at_s: float) -> str:
    fields = json.dumps(plain(msgspec.to_builtins(thing)), ensure_ascii=False)
    return f"{at_s:>7.1f} {mark} {thing.__struct_config__.tag} {fields}"


def happen(commands: list[str]) -> Iterator[str]:
    story = Story()
    for number, line in enumerate(commands):
        seconds, who, name, fields = [*line.split(maxsplit=3), "{}"][:4]
        at_ms = DAY_MS + round(float(seconds) * 1000)
        owed = next(reversed(story.state.pending), "")
        for word, meaning in (("$HERE", LOCATION), ("$NOW", str(at_ms)), ("$OWED", owed)):
            fields = fields.replace(word, meaning)
        body = msgspec.convert({"type": name, **json.loads(fields)}, AnyCommand)
        envelope = Envelope(
            command_id=CommandId(f"c{number}"), actor=Actor(role=Role.SYSTEM, id=who), body=body
        )
        try:
            decision = decide(story.state, envelope, Context(at_ms=at_ms, protocols=PROTOCOLS))
        except CommandRefused as refusal:
            yield f"{float(seconds):>7.1f} x {refusal.code} {refusal.field}"
            continue
        for record, after in zip(decision.records, decision.states, strict=True):
            yield told("!", record.body, float(seconds))
            for issued in effects_of(record, story.state, after):
                yield told(">", issued.effect, float(seconds))
            story.state = after
            check_state(after)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_it_is_written(path: Path, request: pytest.FixtureRequest) -> None:
    above, _, below = path.read_text(encoding="utf-8").partition(LINE + "\n")
    asked = [line for line in above.splitlines() if line.strip() and not line.startswith("#")]
    happened = list(happen(asked))
    if request.config.getoption("--rewrite", default=False):
        path.write_text(above + LINE + "\n" + "\n".join(happened) + "\n", encoding="utf-8")
        return
    assert happened == below.splitlines()
