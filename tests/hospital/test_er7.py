"""ER7: what is written can be read, and hostile bytes give a value or `BadInput`, nothing else."""

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.contracts.errors import BadInput
from dispatch.hospital import er7
from dispatch.hospital.er7 import Charset, Message, comps

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FILLED = TEXT.filter(bool)


def header(**more: str) -> er7.Segment:
    values: dict[int, er7.FieldSpec] = {1: "|", 2: "^~\\&", 9: comps("ADT", "A04"), 10: "1"}
    return er7.segment("MSH", {**values, **{int(k[1:]): v for k, v in more.items()}})


def parsed_or_fault(raw: bytes) -> Message | BadInput:
    try:
        return er7.parse(raw)
    except BadInput as error:
        return error


def message(*segments: er7.Segment, charset: Charset = Charset.UTF_8) -> Message:
    return Message((header(f18=charset.value), *segments))


@given(
    st.lists(st.lists(st.lists(FILLED, min_size=1, max_size=3), min_size=1, max_size=3)),
    st.sampled_from(Charset),
)
def test_any_text_survives_the_way(fields: list[list[list[str]]], charset: Charset) -> None:
    values = {n: [comps(*parts) for parts in reps] for n, reps in enumerate(fields, 1)}
    sent = message(er7.segment("ZZZ", values), charset=charset)
    assert er7.parse(er7.encode_bytes(sent, charset)) == Message(
        tuple(s for s in sent.segments), sent.separators
    )


@given(st.binary(max_size=400))
def test_any_bytes_give_a_message_or_bad_input(data: bytes) -> None:
    for raw in (data, b"MSH|^~\\&|" + data, b"MSH" + data):
        parsed = parsed_or_fault(raw)
        assert parsed.field if isinstance(parsed, BadInput) else parsed.header.name == "MSH"


@given(st.text(alphabet="|^~\\&XFSTERHNZ.br09\r\nA", max_size=200))
def test_text_made_of_separators_gives_a_message_or_bad_input(text: str) -> None:
    raw = ("MSH|^~\\&|a|b|c|d|e||ADT^A04|1|P|2.4\rPID|" + text).encode()
    parsed = parsed_or_fault(raw)
    if isinstance(parsed, Message):
        again = er7.parse(er7.encode_bytes(parsed))
        assert er7.encode_bytes(again) == er7.encode_bytes(parsed)


@given(FILLED)
def test_another_parser_reads_the_same_fields(text: str) -> None:
    raw = er7.encode(message(er7.segment("ZZZ", {1: "before", 2: text, 3: "after"})))
    other = hl7.parse(raw.replace("\r\n", "\r"))
    segment = other.segment("ZZZ")
    assert str(segment[1]) == "before"
    assert str(segment[3]) == "after"
    assert er7.unescape(str(segment[2])) == text


def test_gb18030_bytes_that_look_like_separators() -> None:
    # 0x7C, 0x5E and 0x5C are second bytes of ordinary characters in GB18030.
    text = "".join(
        bytes((0x81 + n, low)).decode("gb18030") for n, low in enumerate((0x7C, 0x5E, 0x5C, 0x7E))
    )
    raw = er7.encode_bytes(
        message(er7.segment("PID", {5: text}), charset=Charset.GB18030), Charset.GB18030
    )
    assert er7.parse(raw).require("PID").get(5) == text


def test_the_expected_character_set_counts_where_msh_18_is_silent() -> None:
    raw = "MSH|^~\\&|医院\rPID|||||张三\r".encode("gb18030")
    assert er7.parse(raw, charset=Charset.GB18030).require("PID").get(5) == "张三"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"", "MSH"),
        (b"PID|1\r", "MSH"),
        (b"MSH", "MSH-2"),
        (b"MSH||||\r", "MSH-2"),
        (b"MSH|^^\\&|\r", "MSH-2"),
        (b"MSH|^~\\&|\rpid|1\r", "segment"),
        (b"MSH|^~\\&|\rPID|\\X4\\\r", "PID-1"),
        (b"MSH|^~\\&|\rPID|1|\\XFF\\\r", "PID-2"),
        (b"MSH|^~\\&|||||||||||||||| KLINGON\r", "MSH-18"),
        (b"MSH|^~\\&|\xff\xff\r", "MSH-18"),
        (b"MSH|^~\\&|\rPID" + b"|x" * 300 + b"\r", "PID"),
        (b"MSH|^~\\&|\rPID|" + b"~" * 300 + b"\r", "PID-1"),
        (b"MSH|^~\\&|\rPID|" + b"^" * 300 + b"\r", "PID-1"),
        (b"MSH|^~\\&|\rPID|" + b"&" * 300 + b"\r", "PID-1"),
        (b"MSH|^~\\&|\r" + b"NTE|1\r" * 2000, "message"),
        (b"MSH|^~\\&|" + b"x" * er7.MESSAGE_BYTES_MAX, "message"),
    ],
)
def test_a_fault_names_its_field(raw: bytes, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        er7.parse(raw)
    assert caught.value.field == field
    assert caught.value.fault


def test_escapes_of_other_systems() -> None:
    assert er7.unescape("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f") == "a|b^c&d~e\\f"
    assert er7.unescape("\\H\\bold\\N\\ one\\.br\\two") == "bold one\ntwo"
    assert er7.unescape("\\Z1\\ kept, a lone \\ too") == "\\Z1\\ kept, a lone \\ too"
    assert er7.unescape("C:\\dir a\\F\\b") == "C:\\dir a|b"
    assert er7.unescape("\\XE5BCA0\\") == "张"


def test_other_separators_are_obeyed() -> None:
    parsed = er7.parse(b"MSH#!*$%#APP\rPID#1##A!B*C\r")
    pid = parsed.require("PID")
    assert (pid.get(3, 1), pid.get(3, 2), pid.get(3, 1, repetition=2)) == ("A", "B", "C")
    assert parsed.header.get(3) == "APP"


@settings(max_examples=30)
@given(st.integers(-5, 400), st.integers(1, 5))
def test_what_is_not_there_is_empty(number: int, component: int) -> None:
    assert er7.parse(b"MSH|^~\\&|A\rPID|1\r").require("PID").get(number + 2, component) == ""
