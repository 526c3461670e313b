"""JSON lines: strict in, byte for byte out."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.data.jsonl import MAX_LINE, Line, append_keys, parse_object, read_lines, to_json
from mllm_protector.errors import RecordError

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_RECORDS = st.dictionaries(st.text(), _VALUES, min_size=1, max_size=5)


def _line(data: bytes, number: int = 1) -> Line:
    return Line(number, data, len(data))


def test_lines_are_counted_from_where_the_reading_begins() -> None:
    lines = list(read_lines(io.BytesIO(b"a\n\r\nb"), after=10))
    assert [(line.number, line.data, line.blank) for line in lines] == [
        (11, b"a\n", False),
        (12, b"\r\n", True),
        (13, b"b", False),
    ]


def test_a_line_over_the_limit_is_not_kept_and_the_next_one_is_intact() -> None:
    lines = list(read_lines(io.BytesIO(b"x" * 3_000_000 + b"\nnext\n"), limit=1000))
    assert lines[0].too_long
    assert lines[0].size == 3_000_001
    assert len(lines[0].data) < 1000
    assert lines[1] == Line(2, b"next\n", 5)
    with pytest.raises(RecordError, match=r"line 1: .*over the limit"):
        parse_object(lines[0])


@pytest.mark.parametrize("size", [999, 1000, 1001])
def test_the_limit_loses_no_byte(size: int) -> None:
    data = b"x" * (size - 1) + b"\n" + b"y\n"
    lines = list(read_lines(io.BytesIO(data), limit=1000))
    assert sum(line.size for line in lines) == len(data)
    assert [line.too_long for line in lines] == [False, False]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[1]", "a list, not an object"),
        (b'"text"', "a string, not an object"),
        (b"3", "a number, not an object"),
        (b"null", "null, not an object"),
        (b"true", "true or false, not an object"),
        (b'{"a": 1', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "too large a number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"a": 1, "a": 2}', "'a' is given twice"),
        (b'{"b": {"a": 1, "a": 2}}', "'a' is given twice"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),  # a surrogate in raw bytes
        (b'{"a": "\x01"}', "not JSON"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_an_object_is_an_error_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        parse_object(_line(data, 7))
    assert caught.value.line == 7
    assert str(caught.value).startswith("line 7: ")
    assert "\n" not in str(caught.value)


def test_the_input_keys_come_out_byte_for_byte() -> None:
    data = b'\xef\xbb\xbf{ "x":1.10,"s":"\\ud800\\u00e9", "big":123456789012345678901234567890 }  \r\n'
    assert append_keys(data, {"flagged": True}) == (
        b'{ "x":1.10,"s":"\\ud800\\u00e9", "big":123456789012345678901234567890, "flagged": true}\n'
    )


@given(_RECORDS, st.booleans())
def test_added_keys_leave_the_record_as_it_was(record: dict[str, object], ascii_only: bool) -> None:
    data = json.dumps(record, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    added = {"\x00added": ["\ud800", 0.5]}
    parsed = parse_object(_line(data))
    assert parse_object(_line(append_keys(data, added))) == {**parsed, **added}


def test_a_lone_surrogate_is_written_as_an_escape_and_other_text_as_it_is() -> None:
    assert to_json("é") == '"é"'.encode()
    assert json.loads(to_json("é\ud800")) == "é\ud800"


def test_a_long_line_is_read() -> None:
    data = b'{"a": "' + b"x" * 10_000_000 + b'"}\n'
    assert len(data) < MAX_LINE
    (line,) = read_lines(io.BytesIO(data))
    assert len(str(parse_object(line)["a"])) == 10_000_000
