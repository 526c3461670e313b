"""A count on stderr while something goes on, if that is a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

__all__ = ["Counting"]


class Counting:
    """A progress bar, or a plain count where the end is not known; a context manager.

    Args:
        what: what is counted, in the plural.
        total: how many there will be, None if that is not known.
        quiet: show nothing.
    """

    def __init__(self, what: str, total: int | None = None, *, quiet: bool = False) -> None:
        self._what, self._total = what, total
        self._shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total)
        return self

    def advanced(self, done: int) -> None:
        """Move to ``done``."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
