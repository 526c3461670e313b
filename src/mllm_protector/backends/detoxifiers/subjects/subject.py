"""One subject of harmful requests: how it is recognised, and the words used to decline and to help."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

__all__ = ["Subject", "cue_weight"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject with its fixed texts. All name no person, number or address.

    Attributes:
        name: what tests and logs call it.
        hazards: hazard category codes it falls under, the closest first.
        cues: regular expression (lower case) that a request about it matches; "" for a category's fallback.
        act: what will not be done, as it reads after "help with".
        whys: the actual harm, one sentence each.
        helps: the nearest safe help, one or two sentences each.
        openers: first sentences used instead of the general ones; ``{act}`` is filled in.
    """

    name: str
    hazards: tuple[str, ...]
    cues: str
    act: str
    whys: tuple[str, ...]
    helps: tuple[str, ...]
    openers: tuple[str, ...] = ()


@cache
def _compiled(cues: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{cues})")


def cue_weight(subject: Subject, request: str) -> float:
    """Return how clearly ``request`` (lower case) is about ``subject``: 0 without a cue, else 1 to 5.

    Every different cue counts 1, up to 3; long cues say more than short ones, up to 2 for the longest.
    """
    found: set[str] = set()
    if subject.cues:
        for match in _compiled(subject.cues).finditer(request):
            found.add(match[0])
            if len(found) == 3:
                break
    return len(found) + min(2.0, max(map(len, found)) / 10) if found else 0.0
