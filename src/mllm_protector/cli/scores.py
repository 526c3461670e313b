"""Scoring many answers from the command line: a bar, and a word where it is interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from mllm_protector.cli.exits import INTERRUPTED
from mllm_protector.evaluation.scores import scored
from mllm_protector.interfaces import HarmDetector
from mllm_protector.types import Detection, Exchange

__all__ = ["score"]


def score(
    detector: HarmDetector,
    fingerprint: str,
    exchanges: Sequence[Exchange],
    cache: Path | None,
    batch_size: int,
    *,
    quiet: bool = False,
) -> list[Detection]:
    """Return one detection per exchange; ``evaluation.scores.scored`` says what is kept in ``cache``.

    Raises:
        BackendError, OutputError: as ``scored``.
    """
    with _bar(len(exchanges), shown=not quiet and sys.stderr.isatty()) as advance:
        try:
            return scored(detector, fingerprint, exchanges, cache, batch_size=batch_size, on_progress=advance)
        except KeyboardInterrupt as error:
            kept = "run the same command again to go on" if cache else "nothing was kept; --scores keeps it"
            typer.echo(f"interrupted; {kept}", err=True)
            raise typer.Exit(INTERRUPTED) from error


@contextmanager
def _bar(total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    if not shown:
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
