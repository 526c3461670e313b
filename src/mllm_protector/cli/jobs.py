"""``check`` and ``protect`` over a file: where lines come from and go to, progress, summary, exit code."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from mllm_protector import __version__
from mllm_protector.cli.exits import INTERRUPTED, SKIPPED
from mllm_protector.cli.session import MediaNote
from mllm_protector.data.sinks import FileSink, Progress, Sink, StreamSink
from mllm_protector.data.source import Source
from mllm_protector.data.stream import Judge, Reporter, run_stream
from mllm_protector.errors import InputError, OutputError
from mllm_protector.types import Exchange

if TYPE_CHECKING:
    from mllm_protector.protector import Protector

__all__ = ["FileOptions", "exit_after", "open_sink", "open_source", "run_file", "write_one"]


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How to go through a file.

    Attributes:
        out: the file to make; None writes to standard output.
        overwrite: replace ``out`` if it exists.
        restart: drop an interrupted run.
        batch_size: lines judged together.
        skip_bad: pass over bad lines instead of stopping.
        quiet: no progress bar and no summary.
        config: the file that named the back-ends, None for the embedded ones.
    """

    out: Path | None = None
    overwrite: bool = False
    restart: bool = False
    batch_size: int = 32
    skip_bad: bool = False
    quiet: bool = False
    config: Path | None = None


def run_file(
    file: str, command: str, protector: Protector, judge: Judge, reserved: Sequence[str], options: FileOptions
) -> Progress:
    """Judge every line of ``file`` (``-``: standard input) and say on stderr how it went.

    Raises:
        typer.Exit: 130 after Ctrl-C, with a line that says how to go on.
        ProtectorError: see ``run_stream``.
    """
    with open_source(file) as source:
        settings = None if source.path is None else _settings(source.path, command, protector, options.config)
        _refuse_same_file(source.path, options.out)
        sink = open_sink(options.out, settings, overwrite=options.overwrite, restart=options.restart)
        resumable = isinstance(sink, FileSink) and settings is not None
        reporter = _Console(MediaNote(protector), quiet=options.quiet)
        if isinstance(sink, FileSink) and not resumable and not options.quiet:
            typer.echo("note: standard input cannot be resumed after an interruption", err=True)
        try:
            progress = run_stream(
                source,
                sink,
                judge,
                reserved=reserved,
                batch_size=options.batch_size,
                skip_bad=options.skip_bad,
                reporter=reporter,
            )
        except KeyboardInterrupt as error:
            reporter.close()
            how = "run the same command again to go on" if resumable else "nothing was kept"
            lines = reporter.progress.position.line
            typer.echo(
                f"interrupted after line {lines}; {how if options.out else 'no -o, so no resuming'}", err=True
            )
            raise typer.Exit(INTERRUPTED) from error
        finally:
            reporter.close()
    reporter.summary(progress)
    return progress


def exit_after(progress: Progress) -> None:
    """End with the code for skipped lines if there were any."""
    if progress.skipped:
        raise typer.Exit(SKIPPED)


def open_sink(
    out: Path | None, settings: Mapping[str, str] | None, *, overwrite: bool = False, restart: bool = False
) -> Sink:
    """Return where results go: standard output, a device or pipe as it is, or a file made whole."""
    if out is None or str(out) == "-":
        return StreamSink(sys.stdout.buffer, "standard output")
    try:
        if out.is_dir():
            raise OutputError(f"{out} is a folder; give a file name")
        if out.exists() and not out.is_file():  # /dev/null, a named pipe
            return StreamSink(open(out, "wb", buffering=0), str(out), owned=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}; give another -o") from error
    return FileSink(out, settings, overwrite=overwrite, restart=restart)


def write_one(data: bytes, out: Path | None, *, overwrite: bool) -> None:
    """Write the result of a single exchange: whole or not at all."""
    sink = open_sink(out, None, overwrite=overwrite)
    try:
        sink.start()
        sink.write(data, Progress())
        sink.finish()
    except BaseException:
        sink.suspend()
        raise


@contextmanager
def open_source(file: str) -> Iterator[Source]:
    if file == "-":
        yield Source(sys.stdin.buffer, None)
        return
    path = Path(file)
    try:
        stream: BinaryIO = path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{file} is not there; give the path of a file of JSON lines, or -") from error
    except IsADirectoryError as error:
        raise InputError(f"{file} is a folder; give a file of JSON lines") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    with stream:
        yield Source(stream, path if path.is_file() else None)  # a pipe cannot be resumed


def _refuse_same_file(source: Path | None, out: Path | None) -> None:
    if source is not None and out is not None and out.exists() and out.samefile(source):
        raise OutputError(f"{out} is the input itself; give another -o")


def _settings(path: Path, command: str, protector: Protector, config: Path | None) -> dict[str, str]:
    """What the results depend on; the part of the input that was read is compared by its content."""
    from mllm_protector.checkpoints import EMBEDDED, MANIFEST

    policy, manifest = protector.policy, EMBEDDED / MANIFEST
    return {
        "input": str(path.absolute()),
        "command": command,
        "version": __version__,
        "policy": f"{policy.name} {_fingerprint(policy)}",
        "configuration": "embedded" if config is None else _fingerprint(config.read_bytes()),
        "detector": getattr(protector.detector, "fingerprint", ""),
        "model": _fingerprint(manifest.read_bytes() if manifest.is_file() else b""),
    }


def _fingerprint(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "backslashreplace")).hexdigest()[:12]


class _Console(Reporter):
    """Tells a person on stderr; the progress bar only if stderr is a terminal."""

    def __init__(self, note: MediaNote, *, quiet: bool) -> None:
        self.progress = Progress()
        self._note = note
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._first = 0

    def started(self, progress: Progress, size: int | None) -> None:
        """Show the bar, and where the run is taken up."""
        self.progress = progress
        self._first = progress.position.line
        if self._quiet:
            return
        if progress.position.line:
            typer.echo(f"going on after line {progress.position.line} of an interrupted run", err=True)
        if sys.stderr.isatty():
            self._bar = _progress_bar(known=size is not None)
            self._bar.start()
            self._task = self._bar.add_task(
                "", total=size, completed=progress.position.offset, lines=0, rate=0.0
            )

    def advanced(self, progress: Progress) -> None:
        """Move the bar."""
        self.progress = progress
        if self._bar is not None:
            position = progress.position
            seconds = self._bar.tasks[0].elapsed or 0.0
            rate = (position.line - self._first) / seconds if seconds else 0.0
            self._bar.update(self._task, completed=position.offset, lines=position.line, rate=rate)

    def skipped(self, error: Exception) -> None:
        """Name the bad line: said even when quiet, for it is a loss."""
        typer.secho(f"skipped: {error}", err=True, fg="yellow")

    def saw(self, exchange: Exchange) -> None:
        """Note images that nothing reads."""
        self._note.saw(exchange)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def summary(self, progress: Progress) -> None:
        """Say in one line what was done."""
        if self._quiet:
            return
        counts = ", ".join(f"{count} {label}" for label, count in sorted(progress.labels.items()))
        skipped = f"; {progress.skipped} bad lines skipped" if progress.skipped else ""
        typer.echo(f"{progress.written} exchanges: {counts or 'none'}{skipped}", err=True)


def _progress_bar(*, known: bool) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns: list[Any] = [TextColumn("{task.fields[lines]} lines, {task.fields[rate]:.0f}/s"), BarColumn()]
    if known:
        columns += [TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn()]
    return Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
