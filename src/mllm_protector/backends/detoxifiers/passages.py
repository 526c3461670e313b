"""Reads a response as blocks (paragraphs, list items, headings, code, tables) made of units.

A unit is what removal may take out: a sentence, or a whole heading, code block or table. Blocks
remember what belongs to what, so that a removal leaves no list intro without its list and no
heading without its section. Linear time; offsets are code points of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from mllm_protector.text.sentences import sentences

__all__ = ["Block", "Passage", "Unit", "read_passage"]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})\s+\S")
_BOLD_LINE = re.compile(r" {0,3}(?:\*\*[^*\n]+\*\*|__[^_\n]+__):?\s*$")
_ITEM = re.compile(
    r"[ \t]*(?:(?P<bullet>[-*+•–‣◦·])(?=[ \t])"
    r"|(?P<open>[*_]{0,3}\(?(?:[Ss]tep\s+)?)(?P<number>\d{1,3})(?:[.):](?=\s|[*_])|[*_]{1,3}[.:)]|[、．](?=\S))"
    r"|[a-zA-Z][.)](?=\s))[ \t]*"
)
_NUMBERED_HEADING = re.compile(r" {0,3}(?:#{1,6}\s+)?[*_]{0,3}(?:[Ss]tep\s+)?(?P<number>\d{1,3})[.):]")
_TABLE_LINE = re.compile(r"\s*\|.*\||[^|\n]+\|[^|\n]+")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")
_ENDED = re.compile(r"[.!?…。！？｡।؟۔:：;][\"'”’」』)\]*_`]*\s*$")


@dataclass(frozen=True, slots=True)
class Unit:
    """A removable stretch ``[start, end)``, whitespace at its end included, of block number ``block``."""

    start: int
    end: int
    block: int


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the text.

    Attributes:
        kind: ``paragraph``, ``item``, ``heading``, ``code`` or ``table``.
        start: first character of its first line.
        body: first character after the list marker (``start`` for the other kinds).
        end: one past its last character, the line break included.
        depth: indentation in columns; for headings the level, 7 for a bold line.
        number: (start, end) of the digits of an item's or heading's number, None if it has none.
        units: numbers of its units.
        gap: characters of blank lines that follow it.
    """

    kind: str
    start: int
    body: int
    end: int
    depth: int
    number: tuple[int, int] | None
    units: range
    gap: int


@dataclass(frozen=True)
class Passage:
    """A text, its blocks and its units, both in order."""

    text: str
    blocks: tuple[Block, ...]
    units: tuple[Unit, ...]

    def words_of(self, unit: int) -> str:
        """Return the text of unit number ``unit``, without white space around it."""
        return self.text[self.units[unit].start : self.units[unit].end].strip()

    @cached_property
    def governs(self) -> tuple[tuple[int, ...], ...]:
        """For each unit the units that mean nothing without it: an intro's list, a heading's section."""
        return tuple(tuple(self._governed_by(number)) for number in range(len(self.units)))

    def _governed_by(self, number: int) -> Iterator[int]:
        at = self.units[number].block
        block = self.blocks[at]
        last = number == block.units.stop - 1
        if block.kind == "heading":
            for later in self.blocks[at + 1 :]:
                if later.kind == "heading" and later.depth <= block.depth:
                    return
                yield from later.units
        elif last and self.words_of(number).rstrip("*_").endswith((":", "：")):
            yield from self._list_after(at)
        elif block.kind == "item" and number == block.units.start:
            yield from self._children(at)

    def _children(self, at: int) -> Iterator[int]:
        for later in self.blocks[at + 1 :]:
            if later.kind == "heading" or later.depth <= self.blocks[at].depth:
                return
            yield from later.units

    def _list_after(self, at: int) -> Iterator[int]:
        first = self.blocks[at + 1] if at + 1 < len(self.blocks) else None
        if first is None or first.kind in ("heading", "paragraph"):
            return
        if first.kind != "item":
            yield from first.units
            return
        intro = self.blocks[at]
        for later in self.blocks[at + 1 :]:
            inside = later.kind == "item" and later.depth >= first.depth
            if not (inside or (later.kind != "heading" and later.depth > first.depth)):
                return
            if intro.kind == "item" and later.depth <= intro.depth:
                return
            yield from later.units


def read_passage(text: str) -> Passage:
    """Cut ``text`` into blocks and units."""
    blocks: list[Block] = []
    units: list[Unit] = []
    for kind, start, body, end, depth, number, gap in _raw_blocks(text):
        first = len(units)
        if kind in ("paragraph", "item"):
            units += [Unit(body + a, body + b, len(blocks)) for a, b in _sentences(text[body:end])]
        if first == len(units):
            units.append(Unit(body, end, len(blocks)))
        blocks.append(Block(kind, start, body, end, depth, number, range(first, len(units)), gap))
    return Passage(text, tuple(blocks), tuple(units))


def _sentences(body: str) -> Iterator[tuple[int, int]]:
    """Cut a block's body into whole sentences: a wrapped line or an over-long sentence is not cut."""
    unwrapped = re.sub(r"\n(?=[ \t]*[^\W\d_A-Z])", _space_if_lower, body)
    held: tuple[int, int] | None = None
    for start, end in sentences(unwrapped):
        if held is not None:
            piece = unwrapped[held[0] : held[1]]
            if _ENDED.search(piece) or piece.rstrip(" \t").endswith("\n"):
                yield held
            else:
                start = held[0]
        held = (start, end)
    if held is not None:
        yield held


def _space_if_lower(match: re.Match[str]) -> str:
    text, at = match.string, match.end()
    while text[at] in " \t":
        at += 1
    return " " if text[at].islower() else match[0]


_Raw = tuple[str, int, int, int, int, tuple[int, int] | None, int]


def _raw_blocks(text: str) -> Iterator[_Raw]:
    """Yield ``(kind, start, body, end, depth, number, gap)`` per block."""
    lines = list(_lines(text))
    at = 0
    while at < len(lines):
        start, end = lines[at]
        if not text[start:end].strip():
            at += 1
            continue
        kind, stop, body, depth, number = _block_at(text, lines, at)
        end = lines[stop - 1][1]
        gap_end = stop
        while gap_end < len(lines) and not text[lines[gap_end][0] : lines[gap_end][1]].strip():
            gap_end += 1
        gap = (lines[gap_end - 1][1] - end) if gap_end > stop else 0
        yield kind, start, body, end, depth, number, gap
        at = gap_end


def _block_at(
    text: str, lines: list[tuple[int, int]], at: int
) -> tuple[str, int, int, int, tuple[int, int] | None]:
    """Return ``(kind, line after it, body, depth, number)`` of the block that begins on line ``at``."""
    start, end = lines[at]
    line = text[start:end]
    if fence := _FENCE.match(line):
        return "code", _end_of_fence(text, lines, at, fence[1]), start, 0, None
    heading = _HEADING.match(line)
    if heading or _BOLD_LINE.match(line):
        numbered = _NUMBERED_HEADING.match(line)
        place = (start + numbered.start("number"), start + numbered.end("number")) if numbered else None
        return "heading", at + 1, start, len(heading[1]) if heading else 7, place
    if _is_table(text, lines, at):
        stop = at
        while stop < len(lines) and _TABLE_LINE.match(text, lines[stop][0], lines[stop][1]):
            stop += 1
        return "table", stop, start, 0, None
    item = _ITEM.match(line)
    depth = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip(" "))
    stop = at + 1
    while stop < len(lines) and _continues(text[lines[stop][0] : lines[stop][1]]):
        stop += 1
    if item is None:
        return "paragraph", stop, start, depth, None
    number = (start + item.start("number"), start + item.end("number")) if item["number"] else None
    return "item", stop, start + item.end(), depth, number


def _continues(line: str) -> bool:
    if not line.strip() or _FENCE.match(line) or _HEADING.match(line) or _ITEM.match(line):
        return False
    return not (_BOLD_LINE.match(line) or line.lstrip().startswith("|"))


def _is_table(text: str, lines: list[tuple[int, int]], at: int) -> bool:
    if at + 1 >= len(lines) or "|" not in text[lines[at][0] : lines[at][1]]:
        return False
    return _TABLE_RULE.match(text[lines[at + 1][0] : lines[at + 1][1]]) is not None


def _end_of_fence(text: str, lines: list[tuple[int, int]], at: int, mark: str) -> int:
    """Return the line after the fence that opens on line ``at``; the end of the text if it is open."""
    for later in range(at + 1, len(lines)):
        line = text[lines[later][0] : lines[later][1]].strip()
        if line.startswith(mark) and not line.strip(mark[0]):
            return later + 1
    return len(lines)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield start, end
        start = end
