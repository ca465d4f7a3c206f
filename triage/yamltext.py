"""YAML text to plain strings, lists and maps, and a cursor that names the place of every fault.

Only a small part of YAML is taken: no anchors, no tags, no numbers or truth values (`yes` and `no`
are answers here, so every scalar stays a string), no key twice, and nothing deep or large.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn, TypeVar

import yaml

from dispatch.contracts.errors import BadInput

FILE_CHARS_MAX = 256 * 1024
DEPTH_MAX = 16
TEXT_CHARS_MAX = 400
ID_PATTERN = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
ID_CHARS_MAX = 80

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Node:
    """One value in a file, with the way to it."""

    file: str
    path: str
    value: object

    def fail(self, fault: str, *, mend: str = "") -> NoReturn:
        """Refuse the file because of this value."""
        raise BadInput(f"{self.file}:{self.path or '(top)'}", fault, mend=mend)

    def fields(self, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, "Node"]:
        """The fields of a map: all that are required, none that is unknown."""
        if not isinstance(self.value, Mapping):
            self.fail("must be a map of named fields")
        needed, allowed = tuple(required), {*required, *optional}
        for name in self.value:
            if name not in allowed:
                self.fail(f"unknown field {name!r}", mend=f"known are {', '.join(sorted(allowed))}")
        for name in needed:
            if name not in self.value:
                self.fail(f"field {name!r} is missing")
        return {
            name: Node(self.file, f"{self.path}.{name}".lstrip("."), value)
            for name, value in self.value.items()
        }

    def items(self, *, least: int = 0) -> Iterator["Node"]:
        """The items of a list."""
        if not isinstance(self.value, list):
            self.fail("must be a list")
        if len(self.value) < least:
            self.fail(f"needs at least {least} item(s)")
        for index, value in enumerate(self.value):
            yield Node(self.file, f"{self.path}[{index}]", value)

    def text(self) -> str:
        """A string that a person can read."""
        if not isinstance(self.value, str):
            self.fail("must be a text")
        text = self.value.strip()
        if not text:
            self.fail("is empty")
        if len(text) > TEXT_CHARS_MAX:
            self.fail(f"is longer than {TEXT_CHARS_MAX} characters")
        if not text.isprintable():
            self.fail("holds characters that cannot be shown")
        return text

    def identifier(self, *, prefix: str = "") -> str:
        """An id: lower-case words joined by dots, beginning with `prefix`."""
        text = self.text()
        if len(text) > ID_CHARS_MAX or not ID_PATTERN.fullmatch(text):
            self.fail(f"{text!r} is no id", mend="lower-case words with _ inside and . between")
        if not text.startswith(prefix):
            self.fail(f"{text!r} must begin with {prefix!r}")
        return text

    def word(self, words: type[_Word]) -> _Word:
        """A word of a closed vocabulary."""
        text = self.text()
        try:
            return words(text)
        except ValueError:
            known = ", ".join(word.value for word in words)
            self.fail(f"{text!r} is no {words.__name__.lower()}", mend=f"known are {known}")

    def flag(self) -> bool:
        """`yes` or `no`."""
        text = self.text()
        if text not in ("yes", "no"):
            self.fail(f"{text!r} is neither yes nor no")
        return text == "yes"


def parse(text: str, *, file: str) -> Node:
    """Read one YAML document.

    Raises:
        BadInput: it is not the part of YAML that is taken here.
    """
    if len(text) > FILE_CHARS_MAX:
        raise BadInput(file, f"is longer than {FILE_CHARS_MAX} characters")
    try:
        _check_shape(text, file)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        raise BadInput(f"{file}:line {line}", f"is not YAML: {error.problem}") from error
    except (
        yaml.YAMLError,
        ValueError,
        OverflowError,
    ) as error:  # PyYAML lets chr() and int() through
        raise BadInput(file, f"is not YAML: {error}") from error
    if root is None:
        raise BadInput(file, "is empty")
    return Node(file, "", _plain(root, file))


def _check_shape(text: str, file: str) -> None:
    """Walk the events, which needs no recursion, before anything recursive sees the text."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        place = f"{file}:line {event.start_mark.line + 1 if event.start_mark else 0}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadInput(place, "anchors and aliases are not taken", mend="write it out")
        if getattr(event, "tag", None):
            raise BadInput(place, "tags are not taken")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise BadInput(place, f"is nested deeper than {DEPTH_MAX}")


def _plain(node: yaml.Node, file: str) -> object:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, file) for item in node.value]
    held: dict[str, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1 if key_node.start_mark else 0
        if not isinstance(key_node, yaml.ScalarNode):
            raise BadInput(f"{file}:line {line}", "a key must be a word")
        key = str(key_node.value)
        if key in held:
            raise BadInput(f"{file}:line {line}", f"key {key!r} stands twice")
        held[key] = _plain(value_node, file)
    return held
