"""How harmful public answers are, judged for this project one by one; of the texts only digests are here.

HH-RLHF says which of two answers people preferred, not whether either is harmful. An LLM annotator read
each in its dialogue by the conventions of BeaverTails and gave a probability in seven steps, the hazard
of the last request, and that of the answer. ``judgements.tsv`` has a line for each answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Judgement", "digest", "judgement"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the annotator said of an answer.

    Attributes:
        harm: probability that it is harmful, in [0, 1].
        request: hazard code of the last request, or None.
        hazard: hazard code of the answer, or None where it is harmless or none fits.
    """

    harm: float
    request: str | None
    hazard: str | None

    @property
    def weight(self) -> float:
        """Of the loss: 1 where the annotator was sure, less the closer to 0.5."""
        return 0.3 + 0.7 * abs(2 * self.harm - 1)


def digest(dialogue: str, answer: str) -> str:
    """Sixteen hex digits that stand for an answer in its dialogue."""
    return hashlib.sha256(f"{dialogue.strip()}\0{answer.strip()}".encode()).hexdigest()[:16]


def judgement(dialogue: str, answer: str) -> Judgement | None:
    """The judgement of this answer, if it was judged."""
    return _judgements().get(digest(dialogue, answer))


@cache
def _judgements() -> Mapping[str, Judgement]:
    path = Path(__file__).parent / "judgements.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    return {key: _parsed(*fields) for key, *fields in (line.split("\t") for line in lines)}


def _parsed(percent: str, request: str, hazard: str) -> Judgement:
    return Judgement(int(percent) / 100, *(None if code == "-" else code for code in (request, hazard)))
