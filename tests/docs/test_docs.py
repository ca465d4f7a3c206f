"""The documents say what is so: examples load, settings and alarms are all there, links lead."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest

from dispatch.app.parts import gateway_settings, settled
from dispatch.app.settings import Settings, load
from telephony.settings import check as check_gateway

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLE = DOCS / "dispatch120.example.toml"
ROOMS = ("dispatch", "telephony", "avl", "triage", "failover", "console_web", "simulators")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

# ---- configuration


def fields_of(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Every field, dotted; a list of tables is walked as a table."""
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}{field.name}"
        inner = next((t for t in parts_of(field.type) if issubclass(t, msgspec.Struct)), None)
        if inner is None:
            yield name
        else:
            yield from fields_of(inner, f"{name}.")


def parts_of(kind: object) -> Iterator[type]:
    if isinstance(kind, type):
        yield kind
    for inner in getattr(kind, "__args__", ()):
        yield from parts_of(inner)


FIELDS = sorted(fields_of(Settings))


def test_the_example_loads_and_could_start(tmp_path: Path) -> None:
    path = tmp_path / "dispatch120.toml"
    path.write_bytes(EXAMPLE.read_bytes())
    settings = load(path)
    assert settings.data_dir == str(tmp_path / "data")
    assert len(settings.seats) == 2
    check_gateway(gateway_settings(settled(settings)))


def test_the_example_has_every_field() -> None:
    raw = msgspec.toml.decode(re.sub(r"(?m)^# (?=secret = )", "", EXAMPLE.read_text("utf-8")))

    def names(value: object, prefix: str = "") -> Iterator[str]:
        match value:
            case dict():
                for key, inner in value.items():
                    yield from names(inner, f"{prefix}.{key}" if prefix else key)
            case [dict(), *_]:
                yield from names(value[0], prefix)
            case _:
                yield prefix

    assert sorted(names(raw)) == [field for field in FIELDS if not field.startswith("pair.")]


@pytest.mark.parametrize("node", ["a", "b"])
def test_the_pairs_examples_could_start(node: str) -> None:
    settings = load(DOCS / "pair" / f"{node}.toml")
    assert settings.pair is not None
    check_gateway(gateway_settings(settled(settings)))


@pytest.mark.parametrize("field", FIELDS)
def test_every_setting_is_described(field: str) -> None:
    assert f"| `{field}` |" in (DOCS / "configuration.md").read_text("utf-8")


def test_a_mistyped_example_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(EXAMPLE.read_text("utf-8").replace("workers = 8", "wrokers = 8"))
    with pytest.raises(Exception, match="wrokers"):
        load(path)


# ---- alarms


class Alarms(ast.NodeVisitor):
    """Collects the codes of alarms that the code can raise, cut at their first slash."""

    def __init__(self) -> None:
        self.codes: set[str] = set()
        self.unclear: list[str] = []
        self.names: list[list[tuple[str, ast.expr]]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.names.append(list(assigned(node)))
        self.generic_visit(node)
        self.names.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast dictates the name

    def visit_Module(self, node: ast.Module) -> None:
        self.names = [list(assigned(node))]
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called == "RaiseAlarm":
            given = next((k.value for k in node.keywords if k.arg == "code"), None)
        elif called == "raise_alarm":
            given = node.args[1] if len(node.args) > 1 else None
        else:
            return
        if given is not None and not isinstance(given, ast.Attribute):  # command.code: handed on
            self.learn(given)

    def learn(self, given: ast.expr) -> None:
        match given:
            case ast.Constant(value=str(code)):
                self.codes.add(code)
            case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]):
                self.codes.add(start.partition("/")[0])
            case ast.Name(id=name) if values := self.values(name):
                for value in values:  # a name may be given several in one function
                    self.learn(value)
            case _:
                self.unclear.append(ast.unparse(given))

    def values(self, name: str) -> list[ast.expr]:
        scopes = ([v for n, v in scope if n == name] for scope in reversed(self.names))
        return next((values for values in scopes if values), [])


def assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for inner in ast.walk(node):
        match inner:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value


def alarm_codes() -> set[str]:
    alarms = Alarms()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if "node_modules" not in path.parts:
                alarms.visit(ast.parse(path.read_text("utf-8")))
    assert not alarms.unclear, f"alarm codes that cannot be read off the code: {alarms.unclear}"
    return alarms.codes


def test_every_alarm_has_its_page_in_the_runbook() -> None:
    codes = alarm_codes()
    assert {"mqtt_away", "feed_failed", "mission_unacknowledged"} <= codes
    index = (DOCS / "runbook.md").read_text("utf-8")
    missing = [
        code
        for code in sorted(codes)
        if not (DOCS / "runbook" / f"{code}.md").is_file() or f"runbook/{code}.md" not in index
    ]
    assert not missing, f"write docs/runbook/<code>.md and a line in docs/runbook.md for {missing}"


def test_every_page_of_the_runbook_is_in_its_index() -> None:
    index = (DOCS / "runbook.md").read_text("utf-8")
    pages = sorted(path.name for path in (DOCS / "runbook").glob("*.md"))
    assert [name for name in pages if f"(runbook/{name})" not in index] == []


# ---- links


def headings(text: str) -> set[str]:
    """Anchors as GitHub makes them."""
    titles = re.findall(r"(?m)^#+ (.+)$", without_code(text))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8"))):
            if not re.match(r"[a-z]+:", target):
                yield page, target


def test_links_lead_somewhere() -> None:
    broken = []
    for page, target in links():
        name, _, anchor = target.partition("#")
        path = (page.parent / unquote(name)).resolve() if name else page
        if path.suffix == ".png" and path.parent == DOCS / "images":
            continue  # below
        is_fine = path.exists() and path.is_relative_to(ROOT)
        if is_fine and anchor and path.suffix == ".md":
            is_fine = anchor in headings(path.read_text("utf-8"))
        if not is_fine:
            broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken


def test_pictures_are_there() -> None:
    wanted = re.findall(r"\((docs/images/[\w-]+\.png)\)", (ROOT / "README.md").read_text("utf-8"))
    assert wanted
    if not any((DOCS / "images").glob("*.png")):
        pytest.skip("they are taken from a running demo; none yet")
    assert [name for name in wanted if not (ROOT / name).is_file()] == []


def test_every_document_is_reached() -> None:
    """From the README, by links."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        found = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
        waiting += [
            (page.parent / name).resolve() for name in found if not re.match(r"[a-z]+:", name)
        ]
    template = {DOCS / "adr" / "0000-template.md"}
    assert sorted(set(PAGES) - seen - template) == []


# ---- guarantees


def named_tests() -> list[str]:
    return re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", (ROOT / "README.md").read_text("utf-8"))


def test_the_readme_names_tests() -> None:
    assert len(named_tests()) >= 10


@pytest.mark.parametrize("name", named_tests())
def test_a_named_test_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert (ROOT / path).is_file()
    if function:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        names = {n.name for n in ast.walk(tree) if isinstance(n, kinds)}
        names |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert function in names


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


# ---- decisions


def test_every_dependency_has_its_reason() -> None:
    tables = (DOCS / "adr" / "0009-dependencies.md").read_text(encoding="utf-8")
    explained = {
        name.strip()
        for row in re.findall(r"^\| ([^|]+) \|", tables, flags=re.MULTILINE)
        for name in re.sub(r"\(.*?\)", "", row).split(",")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    screens = json.loads((ROOT / "console_web" / "ui" / "package.json").read_text("utf-8"))
    pins = [*project["dependencies"], *project["optional-dependencies"]["osm"]]
    pins += project["optional-dependencies"]["dev"]
    names = {pin.partition("==")[0] for pin in pins if "==" in pin}
    names |= {*screens["dependencies"], *screens["devDependencies"]}
    assert names - explained == set()


def test_decisions_have_numbers_of_their_own() -> None:
    numbers = [path.name[:4] for path in (DOCS / "adr").glob("*.md")]
    assert sorted(numbers) == sorted(set(numbers))
    assert all(number.isdigit() for number in numbers)
