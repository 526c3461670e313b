"""Training records from anywhere: a file, a folder or the hub, in any schema that an adapter knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mllm_protector.data.training_record import TrainingRecord
from mllm_protector.errors import InputError, RecordError

if TYPE_CHECKING:
    from mllm_protector.data.rows import OnBad, Table
    from mllm_protector.data.sources.adapter import Adapter

__all__ = ["load_records"]


def load_records(
    path_or_id: str | Path,
    source: str | None = None,
    *,
    on_bad: OnBad | None = None,
    omitted: Counter[str] | None = None,
) -> Iterator[TrainingRecord]:
    """Yield the records of a data set, row by row.

    Args:
        path_or_id: a file (.jsonl, .json, .csv, .parquet, also .gz and .xz), a folder of them, or a hub id
            (``owner/name``, ``owner/name:config``, ``owner/name@split``; the split is ``train`` otherwise).
        source: name of the adapter; None recognises each file by its columns, a hub id by its name.
        on_bad: hears of rows that cannot be used and are passed over; None raises at the first.
        omitted: counts rows that give no record by what they are, such as a redacted prompt.

    Raises:
        InputError: nothing is there, the schema is unknown, or it is not that of ``source``.
        RecordError: a row is not what its schema says, with the file and the line or row number.
        MissingExtraError: it needs a package that is not installed.
    """
    # Imported when asked for: every command that reads JSON lines passes through this package.
    from mllm_protector.data.rows import open_tables
    from mllm_protector.data.sources import of_hub, source_named

    named = None if source is None else source_named(source)

    def config_of(identifier: str) -> str | None:
        adapter = of_hub(identifier)
        return None if adapter is None else adapter.config

    for table in open_tables(path_or_id, config_of):
        adapter: Adapter | None = None
        for number, row in table.rows(on_bad):
            adapter = adapter or _fitting(named or of_hub(table.hub), table, row)
            try:
                records = tuple(adapter.read(row))
            except InputError as error:
                failure = RecordError(f"{table.name}: {error}", line=number)
                if on_bad is None:
                    raise failure from error
                on_bad(failure)
                continue
            if not records and omitted is not None:
                omitted[adapter.omits] += 1
            for record in records:
                yield replace(record, place=f"{table.name}:{number}")


def _fitting(adapter: Adapter | None, table: Table, row: Mapping[str, object]) -> Adapter:
    """Return the adapter for a table whose first row is ``row``, or say what it lacks."""
    from mllm_protector.data.sources import detect

    try:
        if adapter is None:
            return detect(row)
        if lacking := adapter.lacks(row):
            raise InputError(
                f"{adapter.name} needs the column {', '.join(map(repr, lacking))}; the file has "
                f"{', '.join(map(repr, sorted(row)[:12]))}: give another --source, or none to detect it"
            )
    except InputError as error:
        raise InputError(f"{table.name}: {error}") from error
    return adapter
