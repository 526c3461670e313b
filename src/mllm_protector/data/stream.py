"""A run over JSON lines: read, judge in batches, write, in constant memory.

The judging is handed in as a function, so the same loop serves ``check``, ``protect`` and any test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mllm_protector.data.jsonl import Line, append_keys, parse_object
from mllm_protector.data.records import media_bytes, to_exchange
from mllm_protector.data.sinks import Progress, Sink
from mllm_protector.data.source import Position, Source
from mllm_protector.errors import BackendError, RecordError
from mllm_protector.types import Exchange

__all__ = ["Judge", "Judged", "Reporter", "run_stream"]

_BATCH_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Judged:
    """What one exchange came to.

    Attributes:
        added: the keys to add to its line.
        label: what to count it as in the summary, such as an action.
    """

    added: Mapping[str, object]
    label: str


Judge = Callable[[Sequence[Exchange]], Sequence[Judged]]
"""Judges a batch: same order, same length."""


class Reporter:
    """Hears how a run goes; this one says nothing."""

    def started(self, progress: Progress, size: int | None) -> None:
        """The run begins at ``progress``; ``size`` is the input's bytes, if known."""

    def advanced(self, progress: Progress) -> None:
        """A batch is written."""

    def skipped(self, error: Exception) -> None:
        """A bad line was passed over."""

    def saw(self, exchange: Exchange) -> None:
        """An exchange was read."""


@dataclass(slots=True)
class _Batch:
    """Records read together.

    Attributes:
        position: where the input stands behind them.
        lines: their lines.
        exchanges: what they say, one per line.
        skipped: bad lines passed over on the way.
        error: the bad line that ends the run behind them, if any.
    """

    position: Position
    lines: list[Line] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    skipped: int = 0
    error: RecordError | None = None


def run_stream(
    source: Source,
    sink: Sink,
    judge: Judge,
    *,
    reserved: Collection[str],
    batch_size: int = 32,
    skip_bad: bool = False,
    reporter: Reporter | None = None,
) -> Progress:
    """Judge every record of ``source`` into ``sink`` and return how it went.

    Whatever ends the run early (a bad line, a failed write, Ctrl-C), what was complete is kept by the sink.

    Args:
        source: where lines come from.
        sink: where they go; may say that a part is done already.
        judge: judges a batch.
        reserved: keys that a record must not have, because results carry them.
        batch_size: records judged together; fewer where they are large.
        skip_bad: pass over a line that cannot be read or judged (it is reported) instead of stopping.
        reporter: hears how it goes.

    Raises:
        RecordError: a bad line, with its number, when ``skip_bad`` is false.
        BackendError: an exchange could not be judged, with its line number, when ``skip_bad`` is false.
        OutputError: the result cannot be written.
    """
    reporter = reporter or Reporter()
    progress = sink.start()
    try:
        if progress.position.offset:
            source.resume(progress.position)
        reporter.started(progress, source.size)
        for batch in _batches(source, reserved, batch_size, skip_bad, reporter):
            data, labels, failed = _judge(batch, judge, skip_bad, reporter)
            progress = Progress(
                position=batch.position,
                written=progress.written + sum(labels.values()),
                skipped=progress.skipped + batch.skipped + failed,
                labels=dict(Counter(progress.labels) + labels),
            )
            sink.write(data, progress)
            reporter.advanced(progress)
            if batch.error is not None:
                raise batch.error
        sink.finish()
    except BaseException:
        sink.suspend()
        raise
    return progress


def _batches(
    source: Source, reserved: Collection[str], batch_size: int, skip_bad: bool, reporter: Reporter
) -> Iterator[_Batch]:
    batch, size, base = _Batch(source.position), 0, source.base
    for line in source.lines():
        if not line.blank:
            try:
                exchange = _read(line, base, reserved)
            except RecordError as error:
                if not skip_bad:
                    batch.error = error  # its line stays unread, so that a mended one is taken up
                    yield batch
                    return
                reporter.skipped(error)
                batch.skipped += 1
            else:
                reporter.saw(exchange)
                batch.lines.append(line)
                batch.exchanges.append(exchange)
                size += line.size + media_bytes(exchange)
        batch.position = source.position
        if len(batch.lines) >= batch_size or size >= _BATCH_BYTES:
            yield batch
            batch, size = _Batch(source.position), 0
    yield batch


def _read(line: Line, base: Path, reserved: Collection[str]) -> Exchange:
    return to_exchange(parse_object(line), base=base, reserved=reserved, line=line.number)


def _judge(
    batch: _Batch, judge: Judge, skip_bad: bool, reporter: Reporter
) -> tuple[bytes, Counter[str], int]:
    """Return the lines to write, what they count as, and how many could not be judged."""
    if not batch.exchanges:
        return b"", Counter(), 0
    try:
        results = judge(batch.exchanges)
        judged = list(zip(batch.lines, results, strict=True))
    except BackendError:
        judged = _judge_singly(batch, judge, skip_bad, reporter)
    data = b"".join(append_keys(line.data, result.added) for line, result in judged)
    return data, Counter(result.label for _, result in judged), len(batch.lines) - len(judged)


def _judge_singly(
    batch: _Batch, judge: Judge, skip_bad: bool, reporter: Reporter
) -> list[tuple[Line, Judged]]:
    """One exchange that cannot be judged must not take its neighbours along."""
    judged: list[tuple[Line, Judged]] = []
    for line, exchange in zip(batch.lines, batch.exchanges, strict=True):
        try:
            (result,) = judge([exchange])
        except BackendError as error:
            failure = BackendError(f"line {line.number}: {error}")
            if not skip_bad:
                raise failure from error
            reporter.skipped(failure)
        else:
            judged.append((line, result))
    return judged
