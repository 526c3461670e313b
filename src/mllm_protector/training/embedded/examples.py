"""The unit of training data: one exchange with what is known of it."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mllm_protector.errors import TrainingError

__all__ = ["Example", "held_out", "read_rows", "sentences"]

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Example:
    """One exchange with its labels; what is not known is None and gives no loss.

    Attributes:
        prompt: what was asked.
        response: what was answered.
        harm: target of P(harmful) in [0, 1], or None.
        source: where it is from; sampling and weights go by it.
        image_text: what was read in the image.
        history: the last earlier user turn.
        category: hazard codes of a harmful exchange, or None.
        advice: advice codes given as if qualified (empty: none), or None.
        weight: factor of its loss.
    """

    prompt: str
    response: str
    harm: float | None
    source: str
    image_text: str = ""
    history: str = ""
    category: frozenset[str] | None = None
    advice: frozenset[str] | None = None
    weight: float = 1.0


def read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The records of a JSON-lines file; raises TrainingError if it is missing or malformed."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise TrainingError(f"{path}, line {number} is not JSON: mend or remove it") from error
    except OSError as error:
        raise TrainingError(f"{path} cannot be read ({error.strerror}): check --data") from error


def held_out(prompt: str, percent: int = 5) -> bool:
    """True for prompts kept out of training for calibration: a stable ``percent`` of all prompts."""
    return zlib.crc32(prompt.strip().lower().encode("utf-8", "replace")) % 100 < percent


def sentences(text: str) -> list[str]:
    """Sentences or list lines of ``text``, without empty ones."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]
