"""What every benchmark loader offers, and how its files are read.

A loader never guesses: a file that is not there ends in an error that says where to get the set, and a
row that cannot be used comes out as a sample with a ``fault``, so that it is counted and named.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mllm_protector.errors import InputError
from mllm_protector.evaluation.samples import Sample

__all__ = [
    "Benchmark",
    "Card",
    "SingleTable",
    "find_image",
    "first_path",
    "read_json",
    "read_table",
    "text_of",
]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")


@dataclass(frozen=True, slots=True)
class Card:
    """A benchmark's identity.

    Attributes:
        name: what users call it.
        title: its name in print.
        citation: authors, year, arXiv number.
        url: where to get it.
        licence: the terms it comes with.
        layout: the files a folder must hold.
        modalities: in which ways it asks.
        usual: the modalities evaluated unless others are chosen; empty takes all.
        expected: modality -> how many samples the whole set has, where that is known.
        note: what a reader of its figures has to know.
    """

    name: str
    title: str
    citation: str
    url: str
    licence: str
    layout: str
    modalities: tuple[str, ...] = ("text",)
    usual: tuple[str, ...] = ()
    expected: Mapping[str, int] | None = None
    note: str = ""

    def missing(self, path: Path) -> InputError:
        """Return the error for a file that is not there: where to get the set, and its terms."""
        return InputError(
            f"{self.name}: {path} is not there; get {self.title} ({self.licence}) from {self.url}, so that "
            f"--data is a folder with {self.layout}"
        )


class Benchmark(Protocol):
    """Loads one benchmark."""

    card: Card

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield its samples in a fixed order, reading no more than it has to.

        Raises:
            InputError: the folder does not hold the set.
        """

    def absent(self, folder: Path, /) -> list[str]:
        """Return the files of the set that a half-downloaded folder lacks."""


class SingleTable:
    """For sets whose table is all there is: pictures that lack are named sample by sample."""

    def absent(self, folder: Path, /) -> list[str]:  # noqa: ARG002
        """Nothing can be missing besides the table."""
        return []


def first_path(card: Card, folder: Path, candidates: Sequence[str]) -> Path:
    """Return the first of the candidates that is there; a file given in the folder's place is taken as it is.

    Raises:
        InputError: none is; the error says where to get the set.
    """
    if folder.is_file():
        return folder
    for candidate in candidates:
        if (folder / candidate).exists():
            return folder / candidate
    raise card.missing(folder / candidates[0])


def read_table(path: Path, card: Card, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row number from 1, row) of a CSV file.

    Raises:
        InputError: it is unreadable, or lacks one of ``columns``.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            if lacking:
                raise InputError(
                    f"{card.name}: {path} has no column {lacking[0]!r}; is it the file of {card.url}?"
                )
            for number, row in enumerate(reader, start=1):
                yield (
                    number,
                    {str(key): value or "" for key, value in row.items() if isinstance(value, str | None)},
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{card.name}: {path} cannot be read: {error}; download it again") from error


def read_json(path: Path, card: Card) -> Any:
    """Return what a JSON file holds.

    Raises:
        InputError: it is missing, cut off, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise card.missing(path) from error
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{card.name}: {path} cannot be read: {error}; download it again") from error


def find_image(folder: Path, stem: str, usual: str) -> Path:
    """Return the image called ``stem`` in any format, or the path it should have (``usual`` suffix)."""
    for suffix in (usual, *_SUFFIXES):
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return path
    return folder / f"{stem}{usual}"


def text_of(row: Mapping[str, Any], key: str) -> str:
    """Return a row's text under ``key``, "" if there is none or it is no text."""
    value = row.get(key)
    return value.strip() if isinstance(value, str) else ""
