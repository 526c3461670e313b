"""The English words that tell an undone trick from a chance string.

``words.txt`` holds the whole words of the BERT uncased vocabulary (Apache-2.0), most frequent first,
and a few words of the security trade. It is read when a text first looks suspicious, not before.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.resources import files

__all__ = ["english_share", "is_word", "ranks", "segment"]

_SUFFIXES = ("s", "es", "ed", "d", "ing", "er", "ers", "ly", "r", "y", "able")
_LONGEST_WORD = 18
_ONE_LETTER = frozenset("ai")


@lru_cache(maxsize=1)
def ranks() -> dict[str, int]:
    """Word -> its place in the list, 0 for the most frequent."""
    text = files(__package__).joinpath("words.txt").read_text(encoding="ascii")
    return {word: rank for rank, word in enumerate(text.split())}


def is_word(word: str) -> bool:
    """Whether ``word`` is English, also with a common ending."""
    known, word = ranks(), word.lower()
    if word in known or word in _ONE_LETTER:
        return True
    stems = (word[: -len(end)] for end in _SUFFIXES if word.endswith(end))
    return any(len(stem) > 3 and stem in known for stem in stems)


def english_share(words: list[str]) -> float:
    """Share of the letters of ``words`` (lower case) that stand in known words; 0 if there are none."""
    known = ranks()
    total = sum(map(len, words))
    return sum(len(word) for word in words if word in known or word in _ONE_LETTER) / total if total else 0.0


def segment(letters: str, shortest_mean: float = 3.0) -> list[str] | None:
    """Cut a run of lower-case letters without spaces into words, None if it is not made of words.

    The most probable cut under Zipf's law (a word's probability falls as one over its rank), found by
    dynamic programming in time linear in the length. None also where the words have fewer letters on
    average than ``shortest_mean``: short words can be read into anything.
    """
    known = ranks()
    floor = math.log(len(known)) + 1.0
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(letters) + 1):
        options = []
        for start in range(max(0, end - _LONGEST_WORD), end):
            word = letters[start:end]
            if word in known:
                options.append((best[start][0] + math.log(known[word] + 2) + floor, start))
            elif word in _ONE_LETTER:
                options.append((best[start][0] + floor + 4.0, start))
        best.append(min(options, default=(math.inf, end - 1)))
    if math.isinf(best[-1][0]):
        return None
    words, end = [], len(letters)
    while end:
        words.append(letters[best[end][1] : end])
        end = best[end][1]
    return words[::-1] if len(letters) >= shortest_mean * len(words) or len(letters) <= 3 else None
