"""Training data looked through: duplicates, contradictions, leaks, and what it consists of.

The data is read twice where a clean copy is wanted: once to judge every record (about 2.5 kB of memory
each, however long it is), once to pass on the ones that stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from mllm_protector.data.duplicates import Duplicates, Verdict
from mllm_protector.data.leaks import Leak, LeakIndex
from mllm_protector.data.loading import load_records
from mllm_protector.data.rows import OnBad
from mllm_protector.data.statistics import Statistics
from mllm_protector.data.training_record import TrainingRecord
from mllm_protector.errors import InputError, RecordError

__all__ = ["Examination", "LeakExample", "examine", "load_all"]

_BATCH = 2048
_EXAMPLES = 3
"""Of each evaluation set, field and kind of match."""
_EXCERPT = 160


@dataclass(frozen=True, slots=True)
class LeakExample:
    """A leak for people to look at.

    Attributes:
        record: number of the record, counted from 1 over all files.
        source: where it is from.
        leak: what was found.
        text: how the text begins.
    """

    record: int
    source: str
    leak: Leak
    text: str


@dataclass(slots=True)
class Examination:
    """What was found.

    Attributes:
        statistics: of all records.
        verdicts: one per record, in order.
        leaks: (evaluation set, field, match) -> records.
        leaked: records with at least one leak.
        examples: the first leaks of each kind.
        against: evaluation set -> how many texts of it were compared.
        omitted: rows that give no record, by what they are.
        bad_rows: rows that cannot be used and were passed over.
    """

    statistics: Statistics = field(default_factory=Statistics)
    verdicts: bytearray = field(default_factory=bytearray)
    leaks: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    leaked: int = 0
    examples: list[LeakExample] = field(default_factory=list)
    against: Mapping[str, int] = field(default_factory=dict)
    omitted: Counter[str] = field(default_factory=Counter)
    bad_rows: int = 0

    def count(self, verdict: Verdict) -> int:
        """Return how many records have a verdict."""
        return self.verdicts.count(verdict)

    def numbers(self, verdict: Verdict) -> list[int]:
        """Return the numbers of the records that have a verdict, counted from 1 over all files."""
        return [number for number, value in enumerate(self.verdicts, start=1) if value == verdict]

    @property
    def clean(self) -> bool:
        """True if nothing leaked and nothing contradicts itself; duplicates are no fault of their own."""
        return not self.leaked and not self.count(Verdict.CONTRADICTORY)

    def kept(self, records: Iterable[TrainingRecord]) -> Iterator[TrainingRecord]:
        """Yield the records that stay.

        Raises:
            InputError: these are not the records that were examined: a file changed meanwhile.
        """
        number = 0
        for number, record in enumerate(records, start=1):
            if number > len(self.verdicts):
                break
            if self.verdicts[number - 1] == Verdict.KEPT:
                yield record
        if number != len(self.verdicts):
            raise InputError("the data changed while it was read; run the same command again")


def load_all(
    references: Sequence[str],
    source: str | None,
    on_bad: OnBad | None = None,
    omitted: Counter[str] | None = None,
) -> Iterator[TrainingRecord]:
    """Yield the records of several files, folders or hub ids, one after the other."""
    return chain.from_iterable(
        load_records(reference, source, on_bad=on_bad, omitted=omitted) for reference in references
    )


def examine(
    references: Sequence[str],
    source: str | None = None,
    *,
    against: Mapping[str, str | Path] | None = None,
    near: float = 0.8,
    on_bad: OnBad | None = None,
    advanced: Callable[[int], None] = lambda _: None,
) -> Examination:
    """Look training data through.

    Args:
        references: files, folders or hub ids.
        source: name of the adapter; None recognises each by its columns.
        against: names of evaluation sets -> their files.
        near: similarity from which records are near duplicates; 1 looks for exact ones alone.
        on_bad: hears of rows that cannot be used and are passed over; None raises at the first.
        advanced: hears how many records are done.

    Raises:
        InputError, RecordError, MissingExtraError: see ``load_records``; also where there is no record.
    """
    result = Examination()

    def bad(error: RecordError) -> None:
        result.bad_rows += 1
        assert on_bad is not None
        on_bad(error)

    index = LeakIndex(against or {})
    result.against = index.sizes
    duplicates = Duplicates(near)
    records = load_all(references, source, None if on_bad is None else bad, result.omitted)
    leaked: list[int] = []
    while batch := list(islice(records, _BATCH)):
        first = result.statistics.records
        duplicates.add(batch)
        for record in batch:
            result.statistics.add(record)
        if against:
            for number, leaks in enumerate(index.find(batch), start=first):
                _note(result, number, batch[number - first], leaks)
                leaked += [number] if leaks else []
        advanced(result.statistics.records)
    if not result.statistics.records:
        raise InputError(f"no records in {', '.join(map(str, references))}; give files that hold some")
    result.verdicts = duplicates.verdicts
    result.leaked = len(leaked)
    for number in leaked:
        result.verdicts[number] = Verdict.LEAKED
    return result


def _note(result: Examination, number: int, record: TrainingRecord, leaks: Sequence[Leak]) -> None:
    for leak in leaks:
        result.leaks[leak.against, leak.field, leak.match.value] += 1
        if result.leaks[leak.against, leak.field, leak.match.value] <= _EXAMPLES:
            text = " ".join(getattr(record, leak.field).split())[:_EXCERPT]
            result.examples.append(LeakExample(number + 1, record.source, leak, text))
