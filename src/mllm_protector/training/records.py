"""Training records: what they hold, how they are read from JSON lines, and how a part is kept for
development.

This is the one place where trainers meet data: ``read_records`` may be swapped for any other reader.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mllm_protector.data.jsonl import parse_object, read_lines
from mllm_protector.errors import InputError, RecordError
from mllm_protector.suggest import nearest
from mllm_protector.taxonomy import CATEGORIES
from mllm_protector.types import Exchange, Query

__all__ = ["TrainingRecord", "read_records", "split_dev"]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """One exchange with what is known of it; None is unknown and gives no loss.

    Attributes:
        prompt: what was asked.
        response: what was answered.
        harmful: whether the response is harmful.
        categories: category codes of the exchange; empty if it is known to have none.
        safe_response: what a safe and relevant answer would be.
        safe_response_harmful: True if that answer is unsafe too, as in pairs that only say which is better.
        image_text: what was read in the images.
        source: where it is from.
        licence: of its source.
        weight: factor of its loss, at least 0.
        place: file and line, for messages.
    """

    prompt: str
    response: str
    harmful: bool | None = None
    categories: tuple[str, ...] | None = None
    safe_response: str | None = None
    safe_response_harmful: bool | None = None
    image_text: str = ""
    source: str = "unknown"
    licence: str = ""
    weight: float = 1.0
    place: str = ""

    @property
    def exchange(self) -> Exchange:
        """What a detector would see of it."""
        return Exchange(Query(self.prompt, image_text=self.image_text), self.response)


def read_records(path: Path) -> Iterator[TrainingRecord]:
    """Yield the records of a JSON-lines file.

    Keys: ``prompt``, ``response``, ``harmful`` (0 or 1), ``categories`` (codes) or ``category``,
    ``safe_response``, ``safe_response_harmful``, ``image_text``, ``source``, ``licence``, ``weight``. Pairs
    may say ``rejected`` for the response and ``chosen`` for the safe one. Absent or null is unknown; other
    keys are passed over.

    Raises:
        InputError: the file cannot be read.
        RecordError: a line cannot be used; the message names it.
    """
    try:
        with path.open("rb") as stream:
            for line in read_lines(stream):
                if line.blank:
                    continue
                try:
                    yield _record(parse_object(line), f"{path.name}:{line.number}")
                except RecordError as error:
                    at = "" if error.line else f"line {line.number}: "
                    raise RecordError(f"{path}: {at}{error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check --data and --dev") from error


def split_dev(
    records: Sequence[TrainingRecord], share: float
) -> tuple[list[TrainingRecord], list[TrainingRecord]]:
    """Training and development records; all of one prompt are on the same side, whatever their order."""
    train: list[TrainingRecord] = []
    dev: list[TrainingRecord] = []
    for record in records:
        key = f"{record.prompt.strip().lower()}\0{record.image_text.strip().lower()}"
        digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=4).digest()
        place = int.from_bytes(digest) / 2**32
        (dev if place < share else train).append(record)
    return train, dev


def _record(value: Mapping[str, object], place: str) -> TrainingRecord:
    pair = "response" not in value and "rejected" in value
    weight = value.get("weight")
    if weight is None:
        weight = 1.0
    elif isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0 or math.isinf(weight):
        raise RecordError(f'"weight" is {weight!r}, but must be a number of at least 0')
    return TrainingRecord(
        prompt=_text(value, "prompt") or "",
        response=_needed(value, "rejected" if pair else "response"),
        harmful=_label(value, "harmful"),
        categories=_categories(value),
        safe_response=_text(value, "chosen" if pair else "safe_response"),
        safe_response_harmful=_label(value, "safe_response_harmful"),
        image_text=_text(value, "image_text") or "",
        source=_text(value, "source") or "unknown",
        licence=_text(value, "licence") or "",
        weight=float(weight),
        place=place,
    )


def _needed(value: Mapping[str, object], key: str) -> str:
    text = _text(value, key)
    if text is None:
        raise RecordError(f'the key "{key}" is missing')
    return text


def _text(value: Mapping[str, object], key: str) -> str | None:
    text = value.get(key)
    if text is not None and not isinstance(text, str):
        raise RecordError(f'"{key}" must be a string')
    return text


def _label(value: Mapping[str, object], key: str) -> bool | None:
    label = value.get(key)
    if label is None:
        return None
    if label not in (0, 1):  # true and false are 1 and 0
        raise RecordError(
            f'"{key}" is {str(label)[:40]!r}, but must be 0 or 1; leave it out where it is unknown'
        )
    return bool(label)


def _categories(value: Mapping[str, object]) -> tuple[str, ...] | None:
    given = value.get("categories")
    if given is None:
        given = value.get("category")
    if given is None:
        return None
    codes = [given] if isinstance(given, str) else given
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        raise RecordError('"categories" must be a list of category codes')
    for code in codes:
        if code not in CATEGORIES:
            raise RecordError(f"{code!r} is no category code{nearest(code, CATEGORIES)}")
    return tuple(dict.fromkeys(codes))
