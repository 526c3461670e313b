"""Where a run says how it goes: a progress bar, JSON lines, TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mllm_protector.data.files import write_whole
from mllm_protector.errors import TrainingError

__all__ = ["METRICS", "Board"]

METRICS = "metrics.jsonl"


class Board:
    """Shows and writes the figures of a run; a context manager.

    Args:
        folder: ``metrics.jsonl`` and ``tensorboard/`` are written here.
        quiet: no progress bar and no lines on the terminal.
        active: False in all processes but the first, which then do nothing.
    """

    def __init__(self, folder: Path, *, quiet: bool = False, active: bool = True) -> None:
        self._folder, self._active = folder, active
        self._shown = active and not quiet
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("loss {task.fields[loss]} {task.fields[dev]}"),
            console=self._console, disable=not self._shown, transient=False,
        )  # fmt: skip
        self._task: Any = None
        self._file: Any = None
        self._tensorboard: Any = None
        self._smooth: float | None = None

    def begin(self, done: int, total: int) -> None:
        """Open the files; entries behind step ``done`` are of work that was lost and go."""
        if not self._active:
            return
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        path = self._folder / METRICS
        if path.exists():
            kept = [x for x in path.read_text(encoding="utf-8").splitlines() if json.loads(x)["step"] <= done]
            write_whole(path, "".join(f"{line}\n" for line in kept))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
            writer: Any = SummaryWriter
            self._tensorboard = writer(str(self._folder / "tensorboard"), purge_step=done + 1)
        except OSError as error:
            raise TrainingError(f"{self._folder} cannot be written ({error.strerror}): free space") from error
        self._bar.start()
        self._task = self._bar.add_task("training", total=total, completed=done, loss="-", dev="")

    def note(self, text: str) -> None:
        """Say a line on the terminal."""
        if self._shown:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def step(self, step: int, figures: Mapping[str, float]) -> None:
        """One update is done."""
        if not self._active:
            return
        self._write("train", step, figures)
        loss = figures["loss"]
        self._smooth = loss if self._smooth is None else 0.9 * self._smooth + 0.1 * loss
        self._bar.update(self._task, completed=step, loss=f"{self._smooth:.4f}")

    def look(self, step: int, figures: Mapping[str, float]) -> None:
        """The development rows were looked at."""
        if not self._active:
            return
        self._write("dev", step, figures)
        said = " ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self._bar.update(self._task, dev=f"dev {said}")
        self.note(f"step {step}: dev {said}")

    def _write(self, split: str, step: int, figures: Mapping[str, float]) -> None:
        try:
            self._file.write(json.dumps({"split": split, "step": step, **figures}) + "\n")
            self._file.flush()
        except OSError as error:
            raise TrainingError(
                f"{self._folder / METRICS} cannot be written ({error.strerror}): free space, then run the "
                "same command again; it goes on from the last checkpoint"
            ) from error
        for name, value in figures.items():
            self._tensorboard.add_scalar(f"{split}/{name}", value, step)

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if self._file is not None:
            self._file.close()
        if self._tensorboard is not None:
            self._tensorboard.close()
