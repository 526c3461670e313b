"""What changed between two texts, word by word (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

__all__ = ["Part", "word_diff"]

_TOKEN = re.compile(r"\s+|[\u3040-\u30ff\u4e00-\u9fff]|\w+|[^\w\s]+")
_SENTENCE = re.compile(r"[^.!?\n\u3002]*[.!?\n\u3002]+\s*|[^.!?\n\u3002]+")
_MOST_TOKENS = 4000
_LITTLE_IN_COMMON = 0.35


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of text: in both (``same``), only in the first (``gone``), only in the second (``new``)."""

    kind: Literal["same", "gone", "new"]
    text: str


def word_diff(before: str, after: str) -> list[Part]:
    """Return the parts in reading order; without ``new`` they give ``before``, without ``gone`` ``after``.

    Long texts are compared sentence by sentence. Texts that share few words are shown as one after the
    other: a mosaic of "the" and "and" helps nobody.
    """
    pattern = _TOKEN if max(len(before), len(after)) < _MOST_TOKENS * 4 else _SENTENCE
    a, b = pattern.findall(before), pattern.findall(after)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if matcher.ratio() < _LITTLE_IN_COMMON:
        return [part for part in (Part("gone", before), Part("new", after)) if part.text]
    return list(_merged(matcher, a, b))


def _merged(matcher: SequenceMatcher[str], a: list[str], b: list[str]) -> Iterator[Part]:
    """Single words that happen to agree between two changes are changed with them."""
    gone, new = "", ""
    for kind, a1, a2, b1, b2 in matcher.get_opcodes():
        common = "".join(a[a1:a2])
        if kind == "equal" and not ((gone or new) and len(common.split()) <= 1 and a2 < len(a)):
            yield from (part for part in (Part("gone", gone), Part("new", new)) if part.text)
            gone, new = "", ""
            yield Part("same", common)
        else:
            gone += common
            new += "".join(b[b1:b2])
    yield from (part for part in (Part("gone", gone), Part("new", new)) if part.text)
