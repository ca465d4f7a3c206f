"""What a protocol file may say, and how a fault in it is named."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatch.contracts.errors import BadInput
from tests.triage.making import BUNDLED, GATES, PAIN, SMALL
from triage.load import load_folder, load_texts
from triage.model import ProtocolSet

BUNDLED_FOLDER = Path(__file__).parents[2] / "triage" / "protocols"
BUNDLED_TEXTS = {
    path.name: path.read_text(encoding="utf-8") for path in sorted(BUNDLED_FOLDER.glob("*.yaml"))
}


def test_nine_complaints_in_console_order() -> None:
    assert [one.key for one in BUNDLED.complaints] == list("123456789")
    names = ["心脏骤停", "胸痛", "呼吸困难", "卒中", "创伤", "意识障碍", "腹痛", "产科", "其他"]
    assert [one.zh for one in BUNDLED.complaints] == names


def test_the_two_gates_come_first_and_every_protocol_says_who_reviewed_it() -> None:
    assert BUNDLED.gates.questions == ("awake", "breathing_normally")
    for sources in (BUNDLED.gates.sources, *(one.sources for one in BUNDLED.complaints)):
        assert sources
    # Until a physician signs; the documents say so too.
    assert BUNDLED.gates.reviewed_by == "none"
    assert {one.reviewed_by for one in BUNDLED.complaints} == {"none"}


def test_every_text_is_in_both_languages() -> None:
    rules = [
        *BUNDLED.gates.rules,
        *(rule for one in BUNDLED.complaints for rule in one.rules),
    ]
    texts = [(one.zh, one.en) for one in BUNDLED.questions.values()]
    texts += [(one.zh, one.en) for one in BUNDLED.instructions.values()]
    texts += [(one.zh, one.en) for one in BUNDLED.complaints]
    texts += [(rule.why.zh, rule.why.en) for rule in rules]
    for zh, en in texts:
        assert any("\u4e00" <= letter <= "\u9fff" for letter in zh), zh
        assert not any(letter in ",?;" for letter in zh), zh
        assert not any("\u3000" <= letter <= "\uffef" for letter in en), en


def test_the_version_follows_from_the_content(tmp_path: Path) -> None:
    for name, text in BUNDLED_TEXTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "README").write_text("not a protocol", encoding="utf-8")
    assert load_folder(tmp_path).version == BUNDLED.version
    with (tmp_path / "stroke.yaml").open("a", encoding="utf-8") as file:
        file.write("# a remark\n")
    assert load_folder(tmp_path).version != BUNDLED.version


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "gates.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read"):
        load_folder(tmp_path)


FAULTS = [
    ('key: "1"', 'key: "1"\ncolour: red', "pain.yaml:(top)", "unknown field 'colour'"),
    (", en: Rest}", "}", "pain.yaml:instructions[0]", "field 'en' is missing"),
    ("zh: 很痛吗", "zh: ' '", "pain.yaml:questions[0].zh", "is empty"),
    ('key: "1"', 'key: "1"\nkey: "2"', "pain.yaml:line 4", "key 'key' stands twice"),
    ('key: "1"', 'key: "0"', "pain.yaml:key", "is no key"),
    ("say: [rest]", "say: [rest, sleep]", "pain.yaml:rules[1].then", "declared nowhere"),
    ("say: [rest]}", "say: [rest]}\n    unsay: [rest]", "pain.yaml:rules[1].unsay", "says itself"),
    ("say: [rest]", "say: [rest, rest]", "pain.yaml:rules[1].then.say[1]", "stands twice"),
    (", say: [rest]", "", "protocols", "instruction 'rest' is never given"),
    ("any: [pain.bad, pain.old]", "any: [pain.red]", "rules[1].when.any[0]", "not asked here"),
    ("any: [pain.bad, pain.old]", "any: []", "rules[1].when.any", "needs at least 1"),
    ("any: [pain.bad, pain.old]", "not: [pain.bad]", "rules[1].when", "unknown field 'not'"),
    (
        "{any: [pain.bad, pain.old]}",
        "{any: [pain.bad], all: [pain.old]}",
        "rules[1].when",
        "one of",
    ),
    ("priority: yellow", "priority: purple", "pain.yaml:default.priority", "is no priority"),
    ("skills: [als]}", "skills: [magic]}", "pain.yaml:rules[0].then.skills[0]", "is no skill"),
    ("[ed]", "[spa]", "pain.yaml:default.capabilities[0]", "is no capability"),
    ("presumed: {priority: orange", "presumed: {priority: green", "pain.yaml:presumed", "milder"),
    ("id: pain.worst", "id: worst", "pain.yaml:rules[0].id", "must begin with 'pain.'"),
    ("id: pain.some", "id: pain.worst", "pain.yaml:rules[1].id", "twice"),
    ("id: pain.some", "id: pain.default", "pain.yaml:rules[1].id", "reserved"),
    ("id: pain.old,", "id: pain.bad,", "pain.yaml:questions[1].id", "declared twice"),
    ("danger: yes}", "danger: unknown}", "pain.yaml:questions[0].danger", "must be yes or no"),
    ("always: yes", "always: maybe", "pain.yaml:questions[1].always", "neither yes nor no"),
    ("sources: [a guideline of 2021]", "sources: []", "pain.yaml:sources", "needs at least 1"),
    (
        "default: {priority: yellow",
        "fallback: {priority: yellow",
        "pain.yaml:(top)",
        "unknown field",
    ),
    ("kind: complaint", "kind: opinion", "pain.yaml:kind", "is no kind"),
    ("kind: complaint", "kind: gates", "protocols", "2 files of kind gates"),
    ("priority: orange, say: [rest]", "priority: yellow", "pain.yaml:rules[1]", "never change"),
    ("{all: [pain.bad, pain.old]}", "{all: [pain.bad]}", "pain.yaml:questions", None),
    ("id: pain\n", "id: [pain]\n", "pain.yaml:id", "must be a text"),
    ("name: {zh: 痛, en: Pain}", "name: Pain", "pain.yaml:name", "must be a map"),
    ("sources: [", "sources: &a [", "pain.yaml:line 6", "anchors"),
    ("sources: [", "sources: !!set [", "pain.yaml:line 6", "tags"),
    ("sources: [", "sources: [[", "pain.yaml:line", "is not YAML"),
]


@pytest.mark.parametrize(("old", "new", "place", "fault"), FAULTS)
def test_a_fault_is_named_with_its_place(old: str, new: str, place: str, fault: str | None) -> None:
    assert old in PAIN
    texts = SMALL | {"pain.yaml": PAIN.replace(old, new, 1)}
    if fault is None:
        assert isinstance(load_texts(texts), ProtocolSet)
        return
    with pytest.raises(BadInput) as caught:
        load_texts(texts)
    assert place in caught.value.field
    assert fault in caught.value.fault


DEAD = """\
  - id: pain.never
    why: {zh: 无, en: Never}
    when: {all: [pain.old, pain.bad, awake]}
    then: {priority: orange}
default: {priority: yellow"""


def test_a_rule_that_can_never_decide_is_refused() -> None:
    text = PAIN.replace("default: {priority: yellow", DEAD, 1)
    with pytest.raises(BadInput, match=r"rules\[2\]: rule 'pain.never' can never decide"):
        load_texts(SMALL | {"pain.yaml": text})


def test_a_question_that_no_rule_looks_at_is_refused() -> None:
    text = PAIN.replace("{all: [pain.bad, pain.old]}", "{all: [pain.bad]}").replace(
        "{any: [pain.bad, pain.old]}", "{any: [pain.bad]}"
    )
    with pytest.raises(BadInput, match=r"no rule looks at 'pain\.old'"):
        load_texts(SMALL | {"pain.yaml": text})


def test_two_complaints_cannot_share_a_key() -> None:
    other = (
        PAIN.replace("pain", "ache").replace("id: rest", "id: rest2").replace("[rest]", "[rest2]")
    )
    with pytest.raises(BadInput, match="used by two complaints"):
        load_texts(SMALL | {"ache.yaml": other})


def test_no_files_is_a_fault() -> None:
    with pytest.raises(BadInput, match="0 files of kind gates"):
        load_texts({})
    with pytest.raises(BadInput, match="no file of kind complaint"):
        load_texts({"gates.yaml": GATES})


def loads_or_refuses(texts: dict[str, str]) -> None:
    """Anything but a value or a `BadInput` fails the test by itself."""
    with suppress(BadInput):
        assert load_texts(texts).complaints


@settings(max_examples=200)
@given(
    text=st.one_of(
        st.text(max_size=200), st.text(alphabet="{}[]:-?,&*!|>'\"%@` \n#ab", max_size=80)
    )
)
@example(text="")
@example(text="[" * 5000)
@example(text="- " * 5000)
@example(text="{a: " * 5000)
@example(text="%YAML 1." + "9" * 5000 + "\n---\na")
@example(text='"\\UFFFFFFFF"')
@example(text='"\\ud800"')
@example(text="a: &a [*a, *a]")
@example(text="? [a]\n: b")
@example(text="a\n---\nb")
@example(text="x" * 300_000)
def test_any_text_loads_or_is_refused(text: str) -> None:
    loads_or_refuses(SMALL | {"pain.yaml": text})


@settings(max_examples=200)
@given(
    name=st.sampled_from(sorted(SMALL)),
    at=st.integers(0, 1200),
    cut=st.integers(0, 30),
    put=st.one_of(
        st.just(""), st.text(max_size=5), st.sampled_from(["yes", "red", "[", "}", "\n"])
    ),
)
def test_a_damaged_file_loads_or_is_refused(name: str, at: int, cut: int, put: str) -> None:
    text = SMALL[name]
    at %= len(text)
    loads_or_refuses(SMALL | {name: text[:at] + put + text[at + cut :]})


def test_a_rule_with_very_many_ways_is_refused_soon() -> None:
    pair = "{any: [pain.bad, pain.old]}"
    bomb = "{all: [" + ", ".join([pair] * 24) + "]}"
    text = PAIN.replace("{all: [pain.bad, pain.old]}", bomb, 1)
    with pytest.raises(BadInput, match="more than 500 ways"):
        load_texts(SMALL | {"pain.yaml": text})
