"""One line per sample in ``samples.jsonl``: what was asked, answered, delivered and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["OK", "Outcome", "Row", "from_dict", "to_dict"]

OK = "ok"
_PLACES = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """One text that a user could have seen, and what is said of it.

    Attributes:
        response: the text; None if it is the model's answer itself, or if nothing was delivered.
        refusal: ``none``, ``partial`` or ``full``.
        verdicts: judge of safety -> harmful, None if it is open.
        accuracy: judge of correctness -> share in [0, 1], None if it is open.
        seconds: time spent for it.
        action: what the defence did ("" for the answer itself).
        harm: P(harmful) of the model's answer, by the defence's detector.
        unchanged: whether it is the model's answer byte for byte.
        relevance: share of the request's words that it speaks of, None if unknown.
        calls: further questions to the model.
        error: what failed.
    """

    response: str | None
    refusal: str = "none"
    verdicts: Mapping[str, bool | None] = field(default_factory=dict)
    accuracy: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0
    action: str = ""
    harm: float | None = None
    unchanged: bool = True
    relevance: float | None = None
    calls: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One sample.

    Attributes:
        id, scenario, modality, attack, kind, criteria, prompt, request: as in the sample.
        status: ``ok``, or why it is in no figure (``no answer``, ``empty answer``, ``failed``, ``unusable``).
        problem: the same in words.
        label: what people said of the recorded answer, None if nobody did.
        before: the model's answer; None unless ``ok``.
        after: defence -> what it delivered.
    """

    id: str
    scenario: str
    modality: str
    attack: str
    kind: str
    status: str
    criteria: str = "general"
    prompt: str = ""
    request: str = ""
    problem: str = ""
    label: bool | None = None
    before: Outcome | None = None
    after: Mapping[str, Outcome] = field(default_factory=dict)


def to_dict(row: Row) -> dict[str, Any]:
    """Return a row as JSON values."""
    return {key: _rounded(value) for key, value in asdict(row).items()}


def from_dict(values: Mapping[str, Any]) -> Row:
    """Return the row that ``to_dict`` wrote.

    Raises:
        TypeError, KeyError: it was not.
    """
    before = values["before"]
    fields = dict(values) | {
        "before": None if before is None else Outcome(**before),
        "after": {name: Outcome(**outcome) for name, outcome in values["after"].items()},
    }
    return Row(**fields)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, _PLACES) if isinstance(value, float) else value
