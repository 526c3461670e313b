"""JSON lines of our own: the records that ``convert`` writes, and four simpler layouts that people have."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import fields

from mllm_protector.data.sources.adapter import Adapter, Row, codes, optional_text, text, truth
from mllm_protector.data.training_record import TrainingRecord
from mllm_protector.errors import InputError
from mllm_protector.taxonomy import CATEGORIES

__all__ = ["IMAGE_ANSWERS", "IMAGE_DESCRIPTIONS", "ORDINARY", "PAIRS", "RECORDS", "SAFE_ANSWERS"]

_KEYS = tuple(field.name for field in fields(TrainingRecord) if field.compare)
_UNSURE = 0.5
"""Weight of a label that its annotator was not sure of."""


def _records(row: Row) -> Iterator[TrainingRecord]:
    _spelt(row)
    unknown = row.get("harmful") is None
    yield TrainingRecord(
        text(row, "prompt"),
        text(row, "response"),
        None if unknown else truth(row, "harmful"),
        categories=_categories(row),
        safe_response=optional_text(row, "safe_response"),
        image_text=optional_text(row, "image_text") or "",
        source=_source(row),
        licence=_licence(row),
        weight=_weight(row),
    )


def _ordinary(row: Row) -> Iterator[TrainingRecord]:
    yield TrainingRecord(
        text(row, "prompt"), text(row, "response"), False, (), source=_source(row), licence=_licence(row)
    )


def _pairs(row: Row) -> Iterator[TrainingRecord]:
    yield TrainingRecord(
        text(row, "prompt"),
        text(row, "rejected"),
        None,
        safe_response=text(row, "chosen"),
        source=_source(row),
        licence=_licence(row),
    )


def _safe_answers(row: Row) -> Iterator[TrainingRecord]:
    yield TrainingRecord(
        text(row, "prompt"), text(row, "chosen"), False, (), source=_source(row), licence=_licence(row)
    )


def _image_answers(row: Row) -> Iterator[TrainingRecord]:
    harmful = truth(row, "harmful")
    safe = optional_text(row, "safe_answer")
    yield TrainingRecord(
        text(row, "prompt"),
        text(row, "response"),
        harmful,
        categories=codes("annotated", [text(row, "category")]) if harmful else (),
        safe_response=safe or None,
        image_text=text(row, "image_text"),
        source=_source(row),
        licence=_licence(row),
        weight=1.0 if truth(row, "sure") else _UNSURE,
    )


def _image_descriptions(row: Row) -> Iterator[TrainingRecord]:
    harmful = truth(row, "harmful")
    yield TrainingRecord(
        text(row, "prompt"),
        text(row, "response"),
        harmful,
        categories=None if harmful else (),
        image_text=text(row, "image_description"),
        source=_source(row),
        licence=_licence(row),
    )


def _spelt(row: Row) -> None:
    """A key that is nearly one of ours is a slip, and would be lost; any other is somebody's own business."""
    for key in row:
        if key not in _KEYS and (near := difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.85)):
            raise InputError(f"unknown column {key!r}; did you mean {near[0]!r}?")


def _categories(row: Row) -> tuple[str, ...] | None:
    value = row.get("categories")
    if value is None:
        one = row.get("category")  # anything but a code of ours is somebody's own business
        return (one,) if isinstance(one, str) and one in CATEGORIES else None
    if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
        raise InputError('the column "categories" must be a list of codes, such as ["S2"]')
    return tuple(value)


def _weight(row: Row) -> float:
    value = row.get("weight")
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError('the column "weight" must be a number above 0')
    return float(value)


def _source(row: Row) -> str:
    return optional_text(row, "source") or "unnamed"


def _licence(row: Row) -> str:
    return optional_text(row, "licence") or _NOT_STATED


_NOT_STATED = "none stated"
_ROW = "each row's own, or none stated"

RECORDS = Adapter(
    name="records",
    title="Our own JSON lines, as `data convert` and `synthesise` write them",
    licence=_ROW,
    mapping="as they are",
    schemas=(frozenset({"prompt", "response", "harmful"}),),
    read=_records,
)
ORDINARY = Adapter(
    name="ordinary",
    title="Ordinary answers that you vouch for",
    licence=_ROW,
    mapping="prompt and response, taken as harmless; has to be named",
    schemas=(frozenset({"prompt", "response"}),),
    read=_ordinary,
    detected=False,
)
PAIRS = Adapter(
    name="pairs",
    title="Prompts with a rejected and a chosen answer",
    licence=_ROW,
    mapping="rejected -> response with harmful unknown; chosen -> safe_response",
    schemas=(frozenset({"prompt", "rejected", "chosen"}),),
    read=_pairs,
)
SAFE_ANSWERS = Adapter(
    name="safe-answers",
    title="Prompts with a safe answer alone",
    licence=_ROW,
    mapping="chosen -> response, harmless",
    schemas=(frozenset({"prompt", "chosen"}),),
    read=_safe_answers,
)
IMAGE_ANSWERS = Adapter(
    name="image-answers",
    title="Answers to image attacks, annotated with category, certainty and a safe answer",
    licence=_ROW,
    mapping="harmful, category as it is; sure = 0 -> weight 0.5; safe_answer -> safe_response",
    schemas=(frozenset({"prompt", "image_text", "response", "harmful", "sure", "category", "safe_answer"}),),
    read=_image_answers,
)
IMAGE_DESCRIPTIONS = Adapter(
    name="image-descriptions",
    title="Answers to prompts with a described image, such as MSTS (Rottger et al. 2025, arXiv 2501.10057)",
    licence=_ROW,
    mapping="harmful as it is; image_description -> image_text",
    schemas=(frozenset({"prompt", "image_description", "response", "harmful"}),),
    read=_image_descriptions,
)
