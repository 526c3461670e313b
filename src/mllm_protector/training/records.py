"""What trainers read: records from anywhere, and how a part of them is kept for development."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mllm_protector.data import TrainingRecord, load_records
from mllm_protector.data.splits import Splitter
from mllm_protector.errors import ConfigError

__all__ = ["read_records", "split_dev"]


def read_records(
    references: Sequence[str], sources: Sequence[str] = (), *, omitted: Counter[str] | None = None
) -> list[TrainingRecord]:
    """Return the records of files, folders or hub ids, in order.

    Args:
        references: what ``load_records`` takes.
        sources: names of adapters: none to recognise each by its columns, one for all, or one for each.
        omitted: counts rows that give no record by what they are.

    Raises:
        ConfigError: there are several sources, and not one for each.
        InputError, RecordError, MissingExtraError: what is wrong with the data, and its cure.
    """
    if len(sources) not in (0, 1, len(references)):
        raise ConfigError(
            f"--source is given {len(sources)} times for {len(references)} data sets: once for all of them, "
            "or once for each in their order"
        )
    named: Sequence[str | None] = sources or (None,)
    if len(named) == 1:
        named = [named[0]] * len(references)
    return [
        record
        for reference, source in zip(references, named, strict=True)
        for record in load_records(reference, source, omitted=omitted)
    ]


def split_dev(
    records: Sequence[TrainingRecord], share: float
) -> tuple[list[TrainingRecord], list[TrainingRecord]]:
    """Training and development records; all of one question are on the same side, whatever their order."""
    if not share:
        return list(records), []
    splitter = Splitter({"train": 1.0 - share, "dev": share})
    train: list[TrainingRecord] = []
    dev: list[TrainingRecord] = []
    for record in records:
        (dev if splitter.part(record) == "dev" else train).append(record)
    return train, dev
