"""Records into files that are whole or not there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from mllm_protector.data.sinks import FileSink, Progress
from mllm_protector.data.training_record import TrainingRecord

__all__ = ["RecordFile", "write_records"]

_BUFFER = 1 << 20


class RecordFile:
    """A file of records under way; a context manager. It appears when the block ends well.

    Args:
        out: the file to make.
        overwrite: whether an existing one may be replaced.

    Raises:
        OutputError: it exists, or cannot be written.
    """

    def __init__(self, out: Path, *, overwrite: bool = False) -> None:
        self.written = 0
        self._sink = FileSink(out, None, overwrite=overwrite)
        self._lines: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        self._sink.start()
        return self

    def write(self, record: TrainingRecord) -> None:
        """Append a record."""
        line = record.to_line()
        self._lines.append(line)
        self._size += len(line)
        self.written += 1
        if self._size >= _BUFFER:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._sink.suspend()
            return
        try:
            self._flush()
            self._sink.finish()
        except BaseException:
            self._sink.suspend()
            raise

    def _flush(self) -> None:
        self._sink.write(b"".join(self._lines), Progress())
        self._lines.clear()
        self._size = 0


def write_records(out: Path, records: Iterable[TrainingRecord], *, overwrite: bool = False) -> int:
    """Write records to a file; return how many.

    Raises:
        OutputError: it exists, or cannot be written.
    """
    with RecordFile(out, overwrite=overwrite) as file:
        for record in records:
            file.write(record)
    return file.written
