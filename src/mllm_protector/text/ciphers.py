"""Letter ciphers that need no key: Caesar shifts with rot13, Atbash, and text written backwards.

A line is looked into only where many of its words are unknown, and a cipher is believed only if it
turns them into English.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from mllm_protector.text.lexicon import english_share, is_word

__all__ = ["deciphered"]

_LINE = re.compile(r"[^\n]{8,2000}")
_WORD = re.compile(r"(?<![A-Za-z])[A-Za-z]{2,}(?![A-Za-z])")
_SAMPLE = 24
_FEWEST = 4
_NEIGHBOURS = 80  # known words at the ends of lines may lie between two stretches
_BELIEVED = 0.7
_LOWER = string.ascii_lowercase


def _table(letters: str) -> dict[int, int]:
    return str.maketrans(_LOWER + _LOWER.upper(), letters + letters.upper())


_TABLES = {f"caesar{n}": _table(_LOWER[n:] + _LOWER[:n]) for n in (13, *(n for n in range(1, 26) if n != 13))}
_TABLES = {"rot13": _TABLES.pop("caesar13"), "atbash": _table(_LOWER[::-1]), **_TABLES}


def deciphered(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Yield ``(start, end, kind, deciphered)`` of every stretch that a cipher turns into English.

    Neighbouring lines in the same cipher are one stretch. Reversed text comes in two readings,
    ``reversed`` (as a whole) and ``reversed words``.
    """
    stretches: list[tuple[int, int, list[str]]] = []
    for line in _LINE.finditer(text):
        found = _unknown_stretch(line)
        kinds = _believed(found[2]) if found else []
        if not found or not kinds:
            continue
        start, end, _ = found
        if stretches and stretches[-1][2] == kinds and start - stretches[-1][1] <= _NEIGHBOURS:
            stretches[-1] = (stretches[-1][0], end, kinds)
        else:
            stretches.append((start, end, kinds))
    for start, end, kinds in stretches:
        for kind in kinds:
            yield start, end, kind, _CIPHERS[kind](text[start:end])


def _unknown_stretch(line: re.Match[str]) -> tuple[int, int, list[str]] | None:
    """The part of a line from its first to its last unknown word, and some of those words."""
    words = list(_WORD.finditer(line[0]))
    unknown = [word for word in words if not is_word(word[0])]
    if len(unknown) < _FEWEST or len(unknown) < 0.3 * len(words):
        return None
    start, end = line.start() + unknown[0].start(), line.start() + unknown[-1].end()
    return start, end, [word[0].lower() for word in unknown[:_SAMPLE]]


def _believed(sample: Sequence[str]) -> list[str]:
    """The names of the ciphers that turn ``sample`` into English."""
    if english_share([word[::-1] for word in sample]) >= _BELIEVED:
        return ["reversed", "reversed words"]
    for kind, table in _TABLES.items():
        if english_share([word.translate(table) for word in sample]) >= _BELIEVED:
            return [kind]
    return []


def _translate(table: dict[int, int], text: str) -> str:
    return text.translate(table)


def _reverse_words(text: str) -> str:
    return _WORD.sub(lambda match: match[0][::-1], text)


_CIPHERS: dict[str, Callable[[str], str]] = {
    **{kind: partial(_translate, table) for kind, table in _TABLES.items()},
    "reversed": lambda text: text[::-1],
    "reversed words": _reverse_words,
}
