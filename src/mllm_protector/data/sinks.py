"""Where results go: a stream, or a file that appears only when it is complete.

A file is written as ``OUT.partial`` beside a small journal ``OUT.state`` that says how much of the
input is done and how long the output was then. Both are synced to disk in that order, so after any
interruption (Ctrl-C, kill -9, power, full disk) the partial file is cut back to the last journalled
length and the run goes on: nothing lost, nothing twice. At the end it is renamed to ``OUT``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from mllm_protector.data.source import START, Position
from mllm_protector.errors import OutputError

__all__ = ["FileSink", "Progress", "Sink", "StreamSink"]

_JOURNAL_VERSION = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        position: place in the input behind the last line that is done.
        written: lines written.
        skipped: bad lines passed over.
        labels: what was done -> how often.
    """

    position: Position = START
    written: int = 0
    skipped: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)


class Sink(Protocol):
    """Takes finished lines."""

    def start(self) -> Progress:
        """Return where to begin: the start, or where an interrupted run stopped."""

    def write(self, data: bytes, progress: Progress) -> None:
        """Take the lines of one batch, and how far the run has come with them."""

    def finish(self) -> None:
        """Everything is written: make it final."""

    def suspend(self) -> None:
        """The run ends early: keep what can be kept."""


class StreamSink:
    """Writes to an open stream (standard output, a pipe, a device); cannot be resumed.

    Args:
        stream: where to write.
        name: what to call it in errors.
        owned: whether to close it at the end.
    """

    def __init__(self, stream: BinaryIO, name: str, *, owned: bool = False) -> None:
        self._stream = stream
        self._name = name
        self._owned = owned

    def start(self) -> Progress:
        """Begin at the beginning."""
        return Progress()

    def write(self, data: bytes, progress: Progress) -> None:  # noqa: ARG002
        """Write and flush, so that a reader sees whole lines."""
        try:
            _write_all(self._stream, data)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _cannot_write(self._name, error) from error

    def finish(self) -> None:
        """Everything is out already."""
        if self._owned:
            self._stream.close()

    def suspend(self) -> None:
        """Nothing can be kept."""
        self.finish()


class FileSink:
    """Writes a file that is complete or not there.

    Args:
        out: the file to make.
        settings: what the results depend on (input, command, policy, model); a run with other settings
            is not taken up. None: the run cannot be resumed (standard input) and leaves nothing behind
            when it fails.
        overwrite: whether an existing ``out`` may be replaced.
        restart: whether to drop an interrupted run.
        journal_every: seconds between two entries of the journal: what a kill can cost.
        clock: tells the seconds.
    """

    def __init__(
        self,
        out: Path,
        settings: Mapping[str, str] | None,
        *,
        overwrite: bool = False,
        restart: bool = False,
        journal_every: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.out = out
        self.partial = out.with_name(out.name + ".partial")
        self.state = out.with_name(out.name + ".state")
        self._settings = None if settings is None else dict(settings)
        self._overwrite = overwrite
        self._restart = restart
        self._every = journal_every
        self._clock = clock
        self._length = 0
        self._progress = Progress()
        self._journalled = START
        self._journalled_at = 0.0
        self._stream: BinaryIO | None = None

    def start(self) -> Progress:
        """Open the partial file, where it was left if there is one.

        Raises:
            OutputError: ``out`` exists, cannot be written, or an interrupted run had other settings.
        """
        if self.out.exists() and not self._overwrite:
            raise OutputError(f"{self.out} exists; give --overwrite to replace it, or another -o")
        if not self.out.absolute().parent.is_dir():
            raise OutputError(f"the folder {self.out.absolute().parent} is not there; make it first")
        entry = None if self._restart or self._settings is None else self._read_journal()
        with contextlib.ExitStack() as on_failure:
            try:
                # Unbuffered: after a failed write nothing is left in memory to be written later.
                stream = open(self.partial, "r+b" if entry else "ab", buffering=0)  # noqa: SIM115
                on_failure.callback(stream.close)
                _lock(stream, self.partial, self.out)
                if entry is None:
                    self.state.unlink(missing_ok=True)
                else:
                    self._progress, self._length = entry
                    if os.fstat(stream.fileno()).st_size < self._length:
                        raise OutputError(f"{self.partial} was cut short; give --restart to begin again")
                stream.truncate(self._length)
                stream.seek(self._length)
            except OSError as error:
                raise _cannot_write(str(self.out), error) from error
            on_failure.pop_all()
        self._stream = stream
        self._journalled, self._journalled_at = self._progress.position, self._clock()
        return self._progress

    def write(self, data: bytes, progress: Progress) -> None:
        """Append the lines of one batch; journal now and then."""
        assert self._stream is not None, "start() comes first"
        try:
            _write_all(self._stream, data)
            self._length += len(data)
            self._progress = progress
            if self._clock() - self._journalled_at >= self._every:
                self._write_journal()
        except OSError as error:
            raise self._out_of_luck(error) from error

    def finish(self) -> None:
        """Sync, rename, and remove the journal."""
        assert self._stream is not None, "start() comes first"
        try:
            os.fsync(self._stream.fileno())
            os.replace(self.partial, self.out)
            self._stream.close()
            _sync_folder(self.out.absolute().parent)
            self.state.unlink(missing_ok=True)
        except OSError as error:
            raise self._out_of_luck(error) from error

    def suspend(self) -> None:
        """Journal what is complete; without a journal, remove the partial file."""
        if self._stream is None:
            return
        with contextlib.suppress(OSError):  # a full disk: the journal before this one stands
            if self._settings is None:
                self.partial.unlink(missing_ok=True)
            elif self._progress.position != self._journalled:
                self._write_journal()
        self._stream.close()

    def _read_journal(self) -> tuple[Progress, int] | None:
        if not self.state.exists() or not self.partial.exists():
            return None
        try:
            entry = json.loads(self.state.read_bytes())
            if entry["version"] != _JOURNAL_VERSION:
                raise ValueError("another version")
            settings, length, fields = entry["settings"], int(entry["length"]), entry["progress"]
            progress = Progress(**{**fields, "position": Position(**fields["position"])})
        except OSError as error:
            raise _cannot_write(str(self.state), error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{self.state} is damaged; give --restart to begin again") from error
        assert self._settings is not None
        differing = [key for key in self._settings if settings.get(key) != self._settings[key]]
        if differing:
            key = differing[0]
            raise OutputError(
                f"{self.state} is of an interrupted run with another {key} ({settings.get(key)}, now "
                f"{self._settings[key]}); give --restart to begin again, or another -o"
            )
        return progress, length

    def _write_journal(self) -> None:
        if self._settings is None:
            return
        assert self._stream is not None
        os.fsync(self._stream.fileno())
        entry = {
            "version": _JOURNAL_VERSION,
            "settings": self._settings,
            "length": self._length,
            "progress": asdict(self._progress),
        }
        fresh = self.state.with_name(self.state.name + ".new")
        try:
            with open(fresh, "wb", buffering=0) as stream:
                _write_all(stream, json.dumps(entry).encode())
                os.fsync(stream.fileno())
            os.replace(fresh, self.state)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise
        self._journalled, self._journalled_at = self._progress.position, self._clock()

    def _out_of_luck(self, error: OSError) -> OutputError:
        failure = _cannot_write(str(self.out), error)
        if self._settings is None:
            return failure
        return OutputError(f"{failure}, then run the same command again to go on")


def _cannot_write(name: str, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{name} cannot be written: the disk is full; free some space")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{name} cannot be written: {error.strerror}; write to a place you own")
    return OutputError(f"{name} cannot be written: {error.strerror}; mend that, or give another -o")


def _write_all(stream: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:  # an unbuffered write may take only a part
        view = view[stream.write(view) :]


def _lock(stream: BinaryIO, partial: Path, out: Path) -> None:
    """Hold the partial file until this process ends, so that two runs never write the same one."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine, there = os.fstat(stream.fileno()), partial.stat()  # not renamed by a run that just ended
        if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
            return
    except (BlockingIOError, FileNotFoundError):
        pass
    raise OutputError(f"another run is writing {out}; wait for it, or give another -o")


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can open a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
