"""Rows of data sets as they lie: JSON lines, JSON lists, CSV, parquet, folders of these, and the hub.

Compressed files (.gz, .xz) are read as they are. Parquet and the hub need the extra ``train``; everything
but a JSON list is read row by row.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from mllm_protector.data.jsonl import parse_object, read_lines
from mllm_protector.errors import InputError, MissingExtraError, RecordError

__all__ = ["OnBad", "Table", "open_tables"]

OnBad = Callable[[RecordError], None]
"""Hears of a row that cannot be used; without one the first such row ends the reading."""

_FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
_PACKED: Mapping[str, Any] = {".gz": gzip.open, ".xz": lzma.open}
_HUB = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(:(?P<config>[\w.-]+))?(@(?P<split>[\w.-]+))?")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that share a schema.

    Attributes:
        name: the file, or the id on the hub.
        rows: opens them from the start: (number of the row counted from 1, column -> value).
        hub: the id on the hub, "" for a file.
    """

    name: str
    rows: Callable[[OnBad | None], Iterator[tuple[int, Mapping[str, object]]]]
    hub: str = ""


def open_tables(reference: str | Path, config_of: Callable[[str], str | None]) -> Iterator[Table]:
    """Yield the tables of a file, of all files in a folder, or of a hub id.

    Args:
        reference: a path, or ``owner/name``, ``owner/name:config``, ``owner/name@split``.
        config_of: hub id -> the configuration to load where the reference names none.

    Raises:
        InputError: nothing is there, or it is of no known format.
        MissingExtraError: it needs a package that is not installed.
    """
    path = Path(reference)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and _format(p) in _FORMATS)
        if not files:
            raise InputError(f"{path} holds no file of {', '.join(_FORMATS)} (or one with .gz, .xz)")
        for file in files:
            yield _table(file)
    elif path.exists():
        if _format(path) not in _FORMATS:
            raise InputError(f"{path} is of no known format; give one of {', '.join(_FORMATS)}")
        yield _table(path)
    elif (match := _HUB.fullmatch(str(reference))) and _format(path) not in _FORMATS:
        config = match["config"] or config_of(match["id"])
        split = match["split"] or "train"
        name = str(reference)
        yield Table(name, lambda _: _hub_rows(match["id"], config, split), hub=match["id"])
    else:
        raise InputError(f"{reference} is not there; give a file, a folder, or an id such as owner/name")


def _format(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() in _PACKED else path.suffix.lower()


def _table(path: Path) -> Table:
    kind = _format(path)
    if kind == ".parquet":
        return Table(str(path), lambda _: _parquet_rows(path))
    if kind == ".csv":
        return Table(str(path), lambda _: _csv_rows(path))
    return Table(str(path), lambda on_bad: _json_rows(path, on_bad))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    opener = _PACKED.get(path.suffix.lower(), open)
    try:
        with opener(path, "rb") as stream:
            yield cast("BinaryIO", stream)
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {reason}; get the file again") from error


def _json_rows(path: Path, on_bad: OnBad | None) -> Iterator[tuple[int, Mapping[str, object]]]:
    with _opened(path) as stream:
        for line in read_lines(stream):
            if line.blank:
                continue
            if line.number == 1 and _format(path) == ".json" and line.data.lstrip().startswith(b"["):
                yield from _list_rows(path, line.data + stream.read())
                return
            try:
                row = parse_object(line)
            except RecordError as error:
                if on_bad is None:
                    raise
                on_bad(error)
            else:
                yield line.number, row


def _list_rows(path: Path, data: bytes) -> Iterator[tuple[int, Mapping[str, object]]]:
    try:
        rows = json.loads(data)
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{path}: item {number} is no object")
        yield number, row


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    csv.field_size_limit(sys.maxsize)
    with _opened(path) as stream:
        lines = (line.decode("utf-8-sig" if n == 0 else "utf-8") for n, line in enumerate(stream))
        try:
            for number, row in enumerate(csv.DictReader(lines, strict=True), start=1):
                if None in row or None in row.values():
                    raise csv.Error(f"row {number} has not as many cells as the first line has names")
                yield number, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path} is no CSV in UTF-8: {error}") from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise _missing(f"{path} is parquet, which", error) from error
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} is no parquet file: {' '.join(str(error).split())[:200]}") from error


def _hub_rows(identifier: str, config: str | None, split: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise _missing(f"{identifier} lies on the hub, which", error) from error
    try:
        stream = datasets.load_dataset(identifier, config, split=split, streaming=True)
        yield from enumerate(stream, start=1)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{identifier} cannot be loaded from the hub: {type(error).__name__}: {reason}; see that it is "
            f"spelt so, that you may read it (`hf auth login`), or give a downloaded file"
        ) from error


def _missing(what: str, error: ModuleNotFoundError) -> MissingExtraError:
    return MissingExtraError(
        f"{what} needs {error.name}, which is missing; pip install 'mllm-protector[train]'"
    )
