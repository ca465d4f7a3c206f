"""The table of telephony's features names tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "telephony-features.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_row_names_a_test_that_there_is() -> None:
    rows = [
        line
        for line in TABLE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and "**" not in line and not line.startswith("| feature")
    ]
    assert len(rows) > 40
    for row in rows:
        found = NAMED.findall(row)
        assert found, row
        peer = row.split(" | ")[1]
        assert re.match(r"SIPp|PJSUA2|by hand|Chromium", peer), f"no real peer: {row}"
        for file, name in found:
            assert name in functions_of(ROOT / file), f"{file}::{name}"
