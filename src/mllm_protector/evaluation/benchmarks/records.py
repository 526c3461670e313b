"""Any set as JSON lines: one object per request, with the answer recorded in it or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mllm_protector.data.jsonl import parse_object, read_lines
from mllm_protector.errors import InputError, RecordError
from mllm_protector.evaluation.benchmarks.benchmark import Card, SingleTable, first_path
from mllm_protector.evaluation.criteria import CRITERIA
from mllm_protector.evaluation.samples import Kind, Sample

__all__ = ["Records"]

_TEXTS = ("image_text", "request", "modality", "attack", "criteria")


class Records(SingleTable):
    """One object per line.

    Keys: ``prompt``; and optionally ``id``, ``kind``, ``images``, ``image_text``, ``request``, ``scenario``
    (or ``category``), ``modality``, ``attack``, ``criteria``, ``references``, ``response`` (a recorded
    answer) and ``harmful`` (what people said of it: true, false, 0, 1).
    """

    card = Card(
        name="jsonl",
        title="JSON lines",
        citation="your own",
        url="your own records",
        licence="yours",
        layout="samples.jsonl, or the path of a file: one object per line with at least `prompt`",
        modalities=(),
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield a sample per line; a line that cannot be read is a faulty sample."""
        path = first_path(self.card, folder, ("samples.jsonl", "data.jsonl", "test.jsonl"))
        try:
            stream = path.open("rb")
        except OSError as error:
            raise InputError(f"jsonl: {path} cannot be opened: {error.strerror}") from error
        with stream:
            for line in read_lines(stream):
                if line.blank:
                    continue
                try:
                    yield _sample(parse_object(line), line.number, path.parent)
                except RecordError as error:
                    yield Sample(id=f"line-{line.number}", prompt="", fault=str(error))


def _sample(row: dict[str, Any], line: int, base: Path) -> Sample:
    prompt, response, label = row.get("prompt"), row.get("response"), row.get("harmful")
    if not isinstance(prompt, str):
        raise RecordError('"prompt" is missing or no text', line=line)
    if response is not None and not isinstance(response, str):
        raise RecordError('"response" is no text', line=line)
    if label not in (None, 0, 1):
        raise RecordError('"harmful" must be true, false, 0 or 1', line=line)
    texts = {key: row[key] for key in _TEXTS if isinstance(row.get(key), str) and row[key]}
    if texts.get("criteria", "general") not in CRITERIA and " " not in texts["criteria"]:
        raise RecordError(f"unknown criteria {texts['criteria']!r}", line=line)
    images = tuple(base / str(name) for name in _many(row, "images", line))
    texts.setdefault("modality", "image" if images or texts.get("image_text") else "text")
    return Sample(
        id=str(row.get("id", f"line-{line}")),
        prompt=prompt,
        kind=_kind(row, line),
        images=images,
        scenario=str(row.get("scenario") or row.get("category") or ""),
        references=tuple(map(str, _many(row, "references", line))),
        response=response,
        label=None if label is None else bool(label),
        **texts,
    )


def _kind(row: dict[str, Any], line: int) -> Kind:
    value = row.get("kind", Kind.UTILITY.value if row.get("references") else Kind.HARMFUL.value)
    try:
        return Kind(value)
    except ValueError as error:
        raise RecordError('"kind" must be harmful, benign or utility', line=line) from error


def _many(row: dict[str, Any], key: str, line: int) -> list[Any]:
    value = row.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise RecordError(f'"{key}" must be a list', line=line)
    return value
