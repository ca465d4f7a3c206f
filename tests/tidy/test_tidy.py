"""House rules that no tool knows: small files, plain names, nothing of one machine, one tag."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_args

import grimp
import pytest

from dispatch.contracts import commands, effects, events, gateway

ROOT = Path(__file__).parents[2]
ROOMS = ("dispatch", "telephony", "avl", "triage", "failover", "console_web", "simulators")
FILE_LINES_MAX, TEST_FILE_LINES_MAX = 450, 600
FUNCTION_LINES_MAX = 60
LONG_FILES = {
    "dispatch/contracts/commands.py": "one closed vocabulary, read as one page",
    "dispatch/contracts/events.py": "one closed vocabulary, read as one page",
    "failover/keeper.py": "one protocol: its rules argue with each other and are read together",
    "tests/telephony/rfc4475.py": "49 messages, as data",
}
ROUTES = "makes a router: each function inside is one route"
CLOSED_SET = "one match over a closed set"
LONG_FUNCTIONS = {
    "console_web/server/routes_files.py:file_routes": ROUTES,
    "console_web/server/routes_look.py:look_routes": ROUTES,
    "console_web/server/routes_people.py:people_routes": ROUTES,
    "dispatch/core/calls.py:fold": CLOSED_SET,
    "dispatch/core/evolve.py:_fold": CLOSED_SET,
    "simulators/pair/faults.py:inflict": CLOSED_SET,
    "dispatch/core/decide.py:_route_people": "routes a closed set; its signature names each",
}
UNITS = (
    *("s", "ms", "us", "ns", "m", "km", "kmh", "deg", "bytes", "mib", "kib", "pct", "per_min"),
    *("hours", "days", "years", "ticks"),
)
TIMED = {"TIMEOUT", "PAUSE", "PERIOD", "INTERVAL", "BACKOFF", "DELAY", "DEADLINE", "AGE", "RETAIN"}
BINARY = {".png", ".wav", ".pmtiles", ".woff2", ".gz", ".zip", ".ico", ".npz", ".bin", ".jpg"}
MACHINE = re.compile(
    r"(?<![\w.$}])/(?:work|root|home/[a-z]+|Users|mnt)/[\w.]|/tmp/[a-z]\w*[./]"
    r"|https?://[^\s\"')]*(?:artifactory|nexus|/pypi/simple|npm[.-]registry|registry[.-]npm)"
    r"|(?:index|extra-index)-url\s*=|\"resolved\":\s*\"https?://(?!registry\.npmjs\.org/)"
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [p for name in listed.stdout.split("\0") if name and (p := ROOT / name).is_file()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sources(*folders: str) -> list[Path]:
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders
    ]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_of_one_subject_and_one_sitting() -> None:
    long = {}
    for path in sources(*ROOMS, "tests"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = TEST_FILE_LINES_MAX if name_of(path).startswith("tests/") else FILE_LINES_MAX
        if lines > limit and name_of(path) not in LONG_FILES:
            long[name_of(path)] = lines
    assert not long


def test_functions_fit_on_a_screen() -> None:
    long = {}
    for path in sources(*ROOMS):
        for node in functions(ast.parse(path.read_text(encoding="utf-8"))):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            key = f"{name_of(path)}:{node.name}"
            if lines > FUNCTION_LINES_MAX and key not in LONG_FUNCTIONS:
                long[key] = lines
    assert not long


def test_exceptions_are_still_needed() -> None:
    for name in LONG_FILES:
        lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        assert lines > FILE_LINES_MAX, name
    for key in LONG_FUNCTIONS:
        name, _, function = key.partition(":")
        found = [
            node
            for node in functions(ast.parse((ROOT / name).read_text(encoding="utf-8")))
            if node.name == function
        ]
        assert found, key


def test_every_package_says_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in sources(*ROOMS)
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert not silent


def test_a_constant_of_time_names_its_unit_last() -> None:
    unnamed = []
    for path in sources(*ROOMS):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not _is_number(node.value):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                name = target.id if isinstance(target, ast.Name) else ""
                plain = re.sub(r"_(MAX|MIN)$", "", name).lower()
                named = plain.endswith(tuple(f"_{unit}" for unit in UNITS))
                if TIMED & set(name.split("_")) and not named:
                    unnamed.append(f"{name_of(path)}:{node.lineno} {name}")
    assert not unnamed


def _is_number(node: ast.expr | None) -> bool:
    match node:
        case ast.Constant(value=int() | float()):
            return not isinstance(node.value, bool)
        case ast.BinOp(left=left, right=right):
            return _is_number(left) and _is_number(right)
        case _:
            return False


def test_no_module_needs_itself_by_way_of_others() -> None:
    """Not for types alone either: the circle is what the error names."""
    graph = grimp.build_graph(*ROOMS)
    needs = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    TopologicalSorter(needs).prepare()


def test_nothing_belongs_to_one_machine() -> None:
    found = []
    for path in tracked():
        if path.suffix in BINARY or path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{name_of(path)}:{number} {match[0]}"
            for number, line in enumerate(text.splitlines(), start=1)
            if (match := MACHINE.search(line))
        ]
    assert not found


@pytest.mark.parametrize(
    "union",
    [
        events.AnyEvent,
        commands.AnyCommand,
        effects.AnyEffect,
        gateway.FromCore,
        gateway.FromGateway,
    ],
)
def test_a_wire_name_means_one_thing(union: object) -> None:
    tags = Counter(kind.__struct_config__.tag for kind in get_args(union))
    assert [tag for tag, count in tags.items() if count > 1] == []


def test_every_event_is_named_with_its_version_and_none_is_forgotten() -> None:
    kinds = set(get_args(events.AnyEvent))
    assert all(re.fullmatch(r"[a-z_]+\.v\d+", k.__struct_config__.tag) for k in kinds)
    assert kinds == set(events.Event.__subclasses__())
    assert set(get_args(commands.AnyCommand)) == set(commands.Command.__subclasses__())
    assert set(get_args(effects.AnyEffect)) == set(effects.Effect.__subclasses__())
