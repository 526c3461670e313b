"""Labelled exchanges: JSON lines with ``prompt``, ``response`` and ``harmful``, as calibration reads them.

Optional keys: ``image_text``, ``history``, ``source`` (the file's name if it is not given), and ``category``
(one label) or ``categories`` (a list): native codes; other labels count as no native category. Further
keys are passed over. A line of a file of ordinary answers needs no ``harmful``: none of them is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mllm_protector.data.jsonl import parse_object, read_lines
from mllm_protector.data.records import to_exchange
from mllm_protector.errors import InputError, RecordError
from mllm_protector.taxonomy import CATEGORIES
from mllm_protector.types import Exchange

__all__ = ["LabelledRow", "read_labelled"]


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One exchange and what people say of it.

    Attributes:
        exchange: the exchange; without its images, unless they were asked for.
        harmful: its label.
        source: the set it is from.
        categories: native codes of what it holds, None where nobody said.
        ordinary: whether it stands for ordinary use, where false alarms are counted.
    """

    exchange: Exchange
    harmful: bool
    source: str
    categories: frozenset[str] | None = None
    ordinary: bool = False

    @property
    def group(self) -> str:
        """What must not be on both sides of a split: the request, with the text of its image."""
        query = self.exchange.query
        return f"{query.prompt}\x1f{query.image_text}"


def read_labelled(
    paths: Sequence[Path], ordinary: Sequence[Path] = (), *, images: bool = False
) -> list[LabelledRow]:
    """Return the rows of all files, in order.

    Args:
        paths: labelled files.
        ordinary: files of ordinary answers, all harmless.
        images: load the images too, for detectors that look at them.

    Raises:
        InputError: a file cannot be read or holds no rows; a line is wrong, which is named.
    """
    rows = [row for path in paths for row in _read(path, ordinary=False, images=images)]
    return rows + [row for path in ordinary for row in _read(path, ordinary=True, images=images)]


def _read(path: Path, *, ordinary: bool, images: bool) -> list[LabelledRow]:
    try:
        with path.open("rb") as stream:
            lines = (line for line in read_lines(stream) if not line.blank)
            rows = [
                _row(parse_object(line), path, line.number, ordinary=ordinary, images=images)
                for line in lines
            ]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except RecordError as error:
        raise InputError(f"{path}: {error}") from error
    if not rows:
        raise InputError(f"{path} holds no rows: give JSON lines with prompt, response and harmful")
    return rows


def _row(record: Mapping[str, object], path: Path, line: int, *, ordinary: bool, images: bool) -> LabelledRow:
    label = record.get("harmful", 0 if ordinary else None)
    if label not in (0, 1):  # True and False are 1 and 0
        raise RecordError(f'"harmful" must be 0 or 1, got {label!r}', line=line)
    if ordinary and label:
        raise RecordError("an ordinary answer is labelled harmful: move it to the labelled files", line=line)
    kept = {key: value for key, value in record.items() if images or key != "images"}
    exchange = to_exchange(kept, base=path.parent, line=line)
    source = record.get("source") or path.stem
    row = LabelledRow(exchange, bool(label), str(source), ordinary=ordinary)
    return replace(row, categories=_categories(record, bool(label), line))


def _categories(record: Mapping[str, object], harmful: bool, line: int) -> frozenset[str] | None:
    """Harmless rows hold no hazard; of harmful ones without a category nothing is known."""
    value = record.get("categories", record.get("category"))
    if value is None:
        return None if harmful else frozenset()
    labels = [value] if isinstance(value, str) else value
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise RecordError('"categories" must be a list of texts, "category" a text', line=line)
    return frozenset(label for label in labels if label in CATEGORIES) if harmful else frozenset()
