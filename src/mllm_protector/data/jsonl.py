"""JSON lines, read in constant memory and passed on byte for byte.

A line is decoded strictly (RFC 8259: UTF-8, no NaN, no key given twice). Results are spliced in
before the closing brace, so every key of the input comes out as it went in: number formats, escapes
and lone surrogates included.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from mllm_protector.errors import RecordError

__all__ = ["MAX_LINE", "Line", "append_keys", "parse_object", "read_lines", "to_json"]

MAX_LINE = 128 * 1024 * 1024
"""Longest line accepted, in bytes: room for several images as data URIs."""

_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file.

    Attributes:
        number: counted from 1.
        data: its bytes, with the line end.
        size: its length in the file; larger than ``len(data)`` only if it was too long to keep.
    """

    number: int
    data: bytes
    size: int

    @property
    def blank(self) -> bool:
        """True if nothing but white space is on it."""
        return not self.data.strip(_BLANK)

    @property
    def too_long(self) -> bool:
        """True if it was longer than the limit and only its beginning was kept."""
        return self.size > len(self.data)


def read_lines(stream: BinaryIO, *, after: int = 0, limit: int = MAX_LINE) -> Iterator[Line]:
    """Yield the lines of ``stream`` from where it stands.

    Args:
        stream: a binary file.
        after: how many lines came before.
        limit: longest line to keep; of a longer one the first bytes are kept and the rest is passed over.
    """
    number = after
    while data := stream.readline(limit + 1):
        number += 1
        size = len(data)
        if size > limit and not data.endswith(b"\n"):
            data = data[:80]
            while rest := stream.readline(_CHUNK):
                size += len(rest)
                if rest.endswith(b"\n"):
                    break
        yield Line(number, data, size)


def parse_object(line: Line) -> dict[str, object]:
    """Decode a line that holds a JSON object.

    Raises:
        RecordError: with the line's number: too long, not UTF-8, not JSON, not an object.
    """

    def fail(message: str) -> NoReturn:
        raise RecordError(message, line=line.number)

    if line.too_long:
        fail(f"{line.size >> 20} MB long, over the limit of {MAX_LINE >> 20} MB; give images as paths")
    try:
        text = _object_bytes(line.data).decode("utf-8")
    except UnicodeDecodeError as error:
        fail(f"not UTF-8 (byte {error.start + 1} of the line); save the file as UTF-8")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        fail(f"not JSON: {error.msg} at character {error.pos + 1}; one object per line is expected")
    except RecursionError:
        fail("nested too deeply to read; flatten it")
    except ValueError as error:  # raised by the hooks below, or by int() on thousands of digits
        fail(f"not JSON: {error}")
    if not isinstance(value, dict):
        fail(f'{_kind(value)}, not an object; write {{"prompt": "...", "response": "..."}}')
    return value


def append_keys(data: bytes, added: Mapping[str, object]) -> bytes:
    """Return the object on a line with ``added`` behind its own keys, and a line end.

    Args:
        data: a line that ``parse_object`` accepted; its object has at least one key.
        added: the keys to add; none of them may be there already.
    """
    body = _object_bytes(data)
    return body[:-1].rstrip(_BLANK) + b", " + to_json(added)[1:] + b"\n"


def to_json(value: object) -> bytes:
    """Encode as one line of JSON: UTF-8, with escapes where a lone surrogate cannot be UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, allow_nan=False).encode("ascii")


def _object_bytes(data: bytes) -> bytes:
    return data.removeprefix(_BOM).strip(_BLANK)


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!a} is given twice; keep one")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number; write null")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number; write it as a string")
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large; write it as a string")
    return int(text)


_MAX_DIGITS = 4000  # int() itself stops at 4,300
_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_number, parse_int=_integer
)
_KINDS = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a number")
