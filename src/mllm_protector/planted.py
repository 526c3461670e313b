"""Finds instructions that a third party planted in a picture or a recording for the model to obey.

Such a text gives itself away by signs: it overrides what the model was told, addresses a machine, speaks
of the user as somebody else, hides itself, dictates the answer. A sign alone is often harmless (a form
says "write in capital letters", a sign says "new rules"), so each has a weight, and signs that stand
close together have to reach a threshold. The patterns stand in ``planted.yaml`` and are RE2: their
cost is linear in the text.

A request drawn into a picture ("list the steps to ...") is not meant here: it comes from the user, and what
is judged is the answer to it. Neither is a bare wish without any sign ("write about lamps").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import re2
import yaml

from mllm_protector.text.decode import find_encoded
from mllm_protector.text.normalise import normalise
from mllm_protector.text.sentences import sentences
from mllm_protector.types import PlantedInstruction

__all__ = ["MAX_CHARS", "find_planted"]

MAX_CHARS = 200_000
"""Only so much of a text is looked at, from its start."""

_NEEDED = 1.0
_NEAR = 160
"""Signs add up if no more than this many characters lie between one and the next."""

_SIGNS = "planted.yaml"
# What may lie between two words.
_GAP = r"[\s,;:*_-]{0,4}"


@dataclass(frozen=True, slots=True)
class _Pattern:
    sign: str
    weight: float
    matcher: Any


@dataclass(frozen=True, slots=True)
class _Hit:
    start: int
    end: int
    sign: str
    weight: float


@lru_cache(maxsize=256)
def find_planted(text: str) -> tuple[PlantedInstruction, ...]:
    """Return the planted instructions in a text that was read or heard, in order; () of an ordinary text.

    Each reaches from the start of the sentence of its first sign to the end of that of its last. Where the
    signs only show once tricks of spelling are undone or something is decoded, the whole text is named.
    """
    text = text[:MAX_CHARS]
    found = tuple(_found(text))
    if found or not text.strip():
        return found
    hidden = [normalise(text), *(normalise(part.text) for part in find_encoded(text))]
    signs = [sign for plain in hidden if plain != text for one in _found(plain) for sign in one.signs]
    if not signs:
        return ()
    return (PlantedInstruction(0, len(text), text, tuple(dict.fromkeys(signs))),)


def _found(text: str) -> Iterator[PlantedInstruction]:
    bounds = list(sentences(text))
    for group in _groups(sorted(_hits(text), key=lambda hit: (hit.start, hit.end))):
        if sum(_weights(group).values()) < _NEEDED:
            continue
        first, last = group[0].start, max(hit.end for hit in group)
        start = max((s for s, _ in bounds if s <= first), default=0)
        end = min((e for _, e in bounds if e >= last), default=len(text))
        while start < end and text[start].isspace():
            start += 1
        end = start + len(text[start:end].rstrip())
        signs = tuple(dict.fromkeys(hit.sign for hit in group))
        yield PlantedInstruction(start, end, text[start:end], signs)


def _groups(hits: list[_Hit]) -> Iterator[list[_Hit]]:
    group: list[_Hit] = []
    for hit in hits:
        if group and hit.start - max(h.end for h in group) > _NEAR:
            yield group
            group = []
        group.append(hit)
    if group:
        yield group


def _weights(group: list[_Hit]) -> dict[str, float]:
    """Each sign counts once, by its heaviest pattern: three ways to dictate are one."""
    weights: dict[str, float] = {}
    for hit in group:
        weights[hit.sign] = max(hit.weight, weights.get(hit.sign, 0.0))
    return weights


def _hits(text: str) -> Iterator[_Hit]:
    for known in _patterns():
        for match in known.matcher.finditer(text):
            yield _Hit(match.start(), match.end(), known.sign, known.weight)


@lru_cache(maxsize=1)
def _patterns() -> tuple[_Pattern, ...]:
    document = yaml.safe_load(resources.files("mllm_protector").joinpath(_SIGNS).read_text(encoding="utf-8"))
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return tuple(
        _Pattern(entry["sign"], entry["weight"], re2.compile(_spelt(pattern, document["words"]), options))
        for entry in document["signs"]
        for pattern in entry["patterns"]
    )


def _spelt(pattern: str, words: dict[str, str]) -> str:
    for name, alternatives in words.items():
        pattern = pattern.replace(f"<{name}>", alternatives)
    return pattern.replace(" ", _GAP)
