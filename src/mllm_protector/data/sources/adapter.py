"""What it takes to read a public data set: its columns, its licence, and a function of one row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mllm_protector.data.training_record import TrainingRecord
from mllm_protector.errors import InputError
from mllm_protector.taxonomy import map_label

__all__ = ["Adapter", "Row", "codes", "flags", "optional_text", "text", "truth", "verdict"]

Row = Mapping[str, object]
"""Column -> value, as the file has it."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """How one data set is read.

    Attributes:
        name: what ``--source`` calls it.
        title: its name and paper.
        licence: as its authors state it.
        mapping: in one line, how labels and categories become ours.
        schemas: sets of columns, one of which a file must have.
        read: one row -> its records.
        hub: its id on the Hugging Face hub, "" if it is not there.
        config: the configuration to load there, None if it has but one.
        detected: whether a file is recognised by its columns; else it has to be named.
        omits: what a row is that gives no record, "" if every row gives one.
    """

    name: str
    title: str
    licence: str
    mapping: str
    schemas: tuple[frozenset[str], ...]
    read: Callable[[Row], Iterable[TrainingRecord]]
    hub: str = ""
    config: str | None = None
    detected: bool = True
    omits: str = ""

    def lacks(self, columns: Iterable[str]) -> list[str]:
        """Return the columns missing from the nearest of the schemas, sorted; [] if one fits."""
        given = set(columns)
        missing = [sorted(schema - given) for schema in self.schemas]
        return min(missing, key=lambda columns: len(columns))


def text(row: Row, key: str) -> str:
    """Return a column that must be a string.

    Raises:
        InputError: it is missing or something else.
    """
    value = optional_text(row, key)
    if value is None:
        raise InputError(f'the column "{key}" is missing or null, but must be a string')
    return value


def optional_text(row: Row, key: str) -> str | None:
    """Return a column that is a string or null (or NaN, which tables have in place of null)."""
    value = row.get(key)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    raise InputError(f'the column "{key}" is {_shown(value)}, but must be a string')


def truth(row: Row, key: str) -> bool:
    """Return a column that is true or false, as a truth value, 0 or 1, or one of these in words."""
    value = row.get(key)
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in ("0", "1", "true", "false"):
        return value.strip().lower() in ("1", "true")
    raise InputError(f'the column "{key}" is {_shown(value)}, but must be true or false (or 0 or 1)')


def verdict(row: Row, key: str, words: Mapping[str, bool]) -> bool | None:
    """Return a column that names one of two verdicts, None where it is null or empty."""
    value = optional_text(row, key)
    if not value:
        return None
    if value.strip().lower() not in words:
        raise InputError(
            f'the column "{key}" is {_shown(value)}, but must be one of {", ".join(words)} or null'
        )
    return words[value.strip().lower()]


def flags(row: Row, key: str) -> list[str]:
    """Return the names that are true in a column that maps names to truth values."""
    value = row.get(key)
    if not isinstance(value, Mapping):
        raise InputError(f'the column "{key}" is {_shown(value)}, but must map categories to true or false')
    return [str(name) for name in value if truth(value, name)]


def codes(label_set: str, labels: Iterable[str]) -> tuple[str, ...]:
    """Return the native codes of labels, each once, in the order of the labels.

    Raises:
        InputError: the set does not know a label.
    """
    return tuple(dict.fromkeys(_all(label_set, labels)))


def _all(label_set: str, labels: Iterable[str]) -> Iterator[str]:
    for label in labels:
        yield from map_label(label_set, label)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return ascii(value[:40])
    return "missing or null" if value is None else f"{type(value).__name__} {str(value)[:40]}"
