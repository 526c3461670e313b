"""Cuts a text into sentences: exact offsets, deterministic, linear time.

The pieces partition the text: joined they give it back byte for byte, whitespace belongs to the
piece before it. Rules, not a model: what is judged sentence by sentence has to be cut the same way
on every machine, and 10 MB of it within seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["LONGEST_PIECE", "sentences", "split_sentences"]

LONGEST_PIECE = 400
"""Characters after which a text without sentence ends is cut at a space."""

_LONGEST_FENCE = 4000
"""Characters up to which a fenced code block stays one piece; a longer one is cut at its lines."""

_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})[^\n]*\n?", re.MULTILINE)
_END = re.compile(
    r"\n\s*"  # a line break, and any blank lines after it
    r"|[。！？｡!?…]+[」』”’）)\]\"'】》]*\s*(?<=[^\x00-\x7f])"  # CJK and other ends that need no space
    r"|[.!?…]+[\"'”’)\]*_]*(?:[ \t\r\f\v\u00a0\u2000-\u200a\u3000]+|(?=\n)|$)\s*"
    r"|[।؟۔]+\s*"
)
_WORD_BEFORE = re.compile(r"(?:^|[\s(\[\"'“‘])([^\s(\[\"'“‘]{1,20})$")
_ABBREVIATION = re.compile(
    r"(?:[A-Za-z]|(?:[A-Za-z]\.)+[A-Za-z]|mr|mrs|ms|dr|prof|sr|jr|st|mt|vs|etc|cf|al|approx|ca|no|nr|vol|fig|eq"
    r"|sec|ch|pp?|inc|ltd|corp|co|dept|est|gen|col|lt|sgt|capt|rev|hon|gov|sen|rep|jan|feb|mar|apr|jun|jul"
    r"|aug|sept?|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun|bzw|usw|ggf|evtl|inkl|min|max|resp|tel|ave|blvd)",
    re.IGNORECASE,
)
_ENUMERATOR = re.compile(r"\s*(?:[-*•]\s*)?[*_(]{0,3}(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})$")
_STRONG_END = re.compile(r"[!?。！？｡…।؟۔\n]")


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the ``(start, end)`` offsets, in code points, of the sentences of ``text``.

    The ranges are consecutive, none is empty, and together they cover the text; ``[]`` for "".
    Line breaks and list items end a sentence; a closed fenced code block is one piece.
    """
    pieces: list[tuple[int, int]] = []
    for start, end, fenced in _blocks(text):
        if fenced:
            pieces.extend(_cut(text, start, end, _LONGEST_FENCE, "\n"))
            continue
        for first, last in _merge_empty(text, _sentences_of(text, start, end)):
            if last - first <= LONGEST_PIECE:
                pieces.append((first, last))
            else:
                pieces.extend(_cut(text, first, last, LONGEST_PIECE, " "))
    return pieces


def split_sentences(text: str) -> list[str]:
    """Return the sentences themselves; joined they are ``text``."""
    return [text[start:end] for start, end in sentences(text)]


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield ``(start, end, fenced)``; an unclosed fence is ordinary text, or it would hide the rest."""
    at, opened, mark = 0, -1, ""
    for match in _FENCE.finditer(text):
        if opened < 0:
            opened, mark = match.start(), match[1]
        elif match[1].startswith(mark) and match[0].strip() == match[1]:
            if opened > at:
                yield at, opened, False
            yield opened, match.end(), True
            at, opened = match.end(), -1
    if at < len(text):
        yield at, len(text), False


def _sentences_of(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    for match in _END.finditer(text, start, end):
        if match.end() == first or match.start() < first:
            continue
        if _STRONG_END.search(match[0]) or _ends_sentence(text, first, match):
            yield first, match.end()
            first = match.end()
    if first < end:
        yield first, end


def _ends_sentence(text: str, first: int, match: re.Match[str]) -> bool:
    """Whether the dots of ``match`` end the sentence that began at ``first``."""
    if _ENUMERATOR.match(text, first, match.start()) and match.start() - first < 16:
        return False  # "1. ", "b. " open a list item
    if match[0].startswith(".."):
        return True
    before = _WORD_BEFORE.search(text, max(first, match.start() - 24), match.start())
    return before is None or _ABBREVIATION.fullmatch(before[1]) is None


def _merge_empty(text: str, pieces: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join a piece without a letter or digit (". . .", "---") to the piece before it."""
    held: tuple[int, int] | None = None
    for start, end in pieces:
        if held is None:
            held = (start, end)
        elif _WORD.search(text, start, end) is None and end - held[0] <= LONGEST_PIECE:
            held = (held[0], end)
        else:
            yield held
            held = (start, end)
    if held is not None:
        yield held


_WORD = re.compile(r"\w")


def _cut(text: str, start: int, end: int, longest: int, at: str) -> Iterator[tuple[int, int]]:
    """Cut ``[start, end)`` into pieces of at most ``longest``, preferably after an ``at``."""
    while end - start > longest:
        cut = text.rfind(at, start + longest // 2, start + longest) + 1 or start + longest
        yield start, cut
        start = cut
    if start < end:
        yield start, end
