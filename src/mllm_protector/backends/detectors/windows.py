"""How a response of any length becomes model inputs: chunks of text, then windows of tokens (pure).

A chunk is the unit of normalisation and tokenisation, and what ties a window of tokens back to the
characters it came from: normalised text has other offsets than the response, its chunks have not.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mllm_protector.prompts import PairTemplate, Window, pair_windows

__all__ = ["CHUNK", "Place", "cut_chunks", "locate", "stream_windows"]

CHUNK = 2000
"""Longest chunk in characters; about two windows of English text."""

_LOOK_BACK = 400
_WINDOWS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Place:
    """A range of characters of the response, ``[start, end)``."""

    start: int
    end: int


def cut_chunks(text: str, longest: int = CHUNK) -> list[Place]:
    """Cut ``text`` into chunks of at most ``longest`` characters, at a line break or space if one is near."""
    places, start, size = [], 0, len(text)
    while size - start > longest:
        stop = start + longest
        cut = text.rfind("\n", stop - _LOOK_BACK, stop) + 1 or text.rfind(" ", stop - _LOOK_BACK, stop) + 1
        places.append(Place(start, cut or stop))
        start = cut or stop
    places.append(Place(start, size))
    return places


def stream_windows(a_ids: Sequence[int], b_ids: array[int], template: PairTemplate) -> Iterator[Window]:
    """The windows of ``pair_windows``, made a few at a time: 10 MB of text has some 20,000.

    ``start`` and ``stop`` count the tokens of the whole response.
    """
    size = template.max_length - len(a_ids) - 3
    step = size - template.overlap
    reach = size + (_WINDOWS_AT_ONCE - 1) * step
    start = 0
    while True:
        piece = b_ids[start : start + reach]
        for window in pair_windows(a_ids, piece, template):
            yield Window(window.input_ids, window.token_type_ids, start + window.start, start + window.stop)
        if start + reach >= len(b_ids):
            return
        start += _WINDOWS_AT_ONCE * step


def locate(window: Window, chunks: Sequence[Place], first_tokens: Sequence[int]) -> Place:
    """The characters that ``window`` was made from, rounded outwards to whole chunks.

    Args:
        window: a window of ``stream_windows``.
        chunks: the chunks of the response.
        first_tokens: for each chunk the number of tokens before it.
    """
    first = max(bisect_right(first_tokens, window.start) - 1, 0)
    last = max(bisect_left(first_tokens, window.stop) - 1, first)
    return Place(chunks[first].start, chunks[last].end)
