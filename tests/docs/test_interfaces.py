"""The page of interfaces names every command and every frame of the gateway, with its fields."""

import re
from pathlib import Path

import msgspec
import pytest

from dispatch.contracts import commands, gateway
from dispatch.contracts.commands import Command
from dispatch.contracts.gateway import Wire

PAGE = (Path(__file__).parents[2] / "docs" / "interfaces.md").read_text("utf-8")
ROWS = dict(re.findall(r"(?m)^\| `([a-z_]+)` \| ([^|]*) \|", PAGE))
EVERY_FRAME = ("seq", "at_ms", "order_id")
"""The page says once that orders and reports have these."""


def tagged(base: type[msgspec.Struct], module: object) -> dict[str, type[msgspec.Struct]]:
    kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, base)]
    return {str(k.__struct_config__.tag): k for k in kinds if k is not base}


KINDS = tagged(Command, commands) | tagged(Wire, gateway)


@pytest.mark.parametrize("tag", sorted(KINDS))
def test_it_has_the_fields_of(tag: str) -> None:
    assert tag in ROWS, "not on the page"
    told = re.findall(r"`(\w+)`(\??)", ROWS[tag])
    assert told == [
        (field.name, "" if field.required else "?")
        for field in msgspec.structs.fields(KINDS[tag])
        if field.name not in EVERY_FRAME
    ]
