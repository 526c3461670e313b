"""What requests are about, and the fixed words that answer them."""

from __future__ import annotations

from collections.abc import Sequence

from mllm_protector.backends.detoxifiers.subjects.crime import CRIME
from mllm_protector.backends.detoxifiers.subjects.general import GENERAL, UNSPECIFIED
from mllm_protector.backends.detoxifiers.subjects.information import INFORMATION
from mllm_protector.backends.detoxifiers.subjects.people import PEOPLE
from mllm_protector.backends.detoxifiers.subjects.subject import Subject, cue_weight
from mllm_protector.taxonomy import ADVICE

__all__ = ["GENERAL", "SUBJECTS", "UNSPECIFIED", "Subject", "focus", "subject_of"]

SUBJECTS: tuple[Subject, ...] = CRIME + PEOPLE + INFORMATION


_EVERYDAY = frozenset(c.code for c in ADVICE)
"""Categories whose cues are everyday words: they do not outweigh another hazard."""

_HEAD, _TAIL = 200, 500


def focus(request: str) -> str:
    """Return the part of a long request that is likely to hold the question: its two ends."""
    return request if len(request) <= _HEAD + _TAIL else f"{request[:_HEAD]}\n{request[-_TAIL:]}"


def subject_of(request: str, hazards: Sequence[str]) -> Subject:
    """Return the subject of a request: by its cues and the hazards, else the first hazard's fallback.

    Args:
        request: prompt and text of its images.
        hazards: hazard category codes, most probable first; may be empty.
    """
    lowered = request.lower()
    best: Subject | None = None
    best_weight = 0.0
    for subject in SUBJECTS:
        weight = cue_weight(subject, lowered)
        if not weight:
            continue
        agreed = max((1.5 - 0.5 * hazards.index(h) for h in subject.hazards if h in hazards[:3]), default=0.0)
        weight += agreed
        if subject.hazards[0] in _EVERYDAY and not agreed:
            if hazards:
                continue
            weight -= 1.0
        if weight > best_weight:
            best, best_weight = subject, weight
    if best is not None:
        return best
    return next((GENERAL[code] for code in hazards if code in GENERAL), UNSPECIFIED)
