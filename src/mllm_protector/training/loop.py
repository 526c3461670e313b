"""The loop that all trainers share: a fixed plan of updates, accumulated, spread, saved and resumed.

Nothing depends on how rows are spread. An update's loss is divided by the totals of its whole batch, not by
those of a micro-batch, so eight rows at once, one by one, or on two processes give the same gradient. The
order of rows is a function of the seed, the noise of dropout one of seed and step, so an interrupted run
ends like an uninterrupted one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator, DistributedType
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import Tensor, nn

from mllm_protector.errors import TrainingError
from mllm_protector.training.board import Board
from mllm_protector.training.recipe import LoopSettings, RunOptions
from mllm_protector.training.states import Progress, States

__all__ = ["Outcome", "Task", "Totals", "fit", "plan_updates", "rate_of"]

Row = TypeVar("Row")
Learned = TypeVar("Learned", contravariant=True)
Totals = Mapping[str, float]


class Task(Protocol[Learned]):
    """What a network learns."""

    def size(self, row: Learned, /) -> int:
        """How long a row is, in tokens."""

    def place(self, row: Learned, /) -> str:
        """Where a row is from, for messages."""

    def totals(self, rows: Sequence[Learned], /) -> Totals:
        """What the losses of an update are divided by, from all of its rows."""

    def loss(self, network: Any, rows: Sequence[Learned], totals: Totals, device: Any, /) -> Tensor:
        """The part of an update's loss that ``rows`` have; the parts of all micro-batches add up to it."""

    def measure(self, network: Any, rows: Sequence[Learned], device: Any, /) -> list[tuple[float, ...]]:
        """Figures of each development row."""

    def judge(self, rows: Sequence[Learned], measured: Sequence[tuple[float, ...]], /) -> dict[str, float]:
        """Metrics of all development rows; the first is to fall if its name ends in ``loss``, or to rise."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        weights: name -> tensor of the best (or last) network, on the first process; {} on the others.
        steps: updates that were made.
        best_step: the update whose weights these are.
        metrics: of the development rows with these weights.
    """

    weights: Mapping[str, Tensor]
    steps: int
    best_step: int
    metrics: Mapping[str, float]


def plan_updates(count: int, settings: LoopSettings) -> list[list[int]]:
    """The rows of every update: each epoch in a new order, cut into batches; the last one may be smaller."""
    order: list[int] = []
    for epoch in range(settings.epochs):
        rows = list(range(count))
        random.Random(f"{settings.seed}/{epoch}").shuffle(rows)  # noqa: S311
        order += rows
    return [order[i : i + settings.batch_size] for i in range(0, len(order), settings.batch_size)]


def rate_of(update: int, total: int, settings: LoopSettings) -> float:
    """Factor of the learning rate in update ``update`` of ``total``, counted from 0."""
    rise = int(total * settings.warmup)
    if update < rise:
        return (update + 1) / rise
    if settings.schedule == "constant":
        return 1.0
    gone = (update - rise) / max(1, total - rise)
    return 1 - gone if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * gone))


def fit(
    network: nn.Module,
    task: Task[Row],
    rows: Sequence[Row],
    dev: Sequence[Row],
    settings: LoopSettings,
    folder: Path,
    identity: str,
    options: RunOptions,
) -> Outcome | None:
    """Train ``network``, going on from the newest checkpoint in ``folder``.

    Args:
        network: fresh, its parameters frozen or not as wanted.
        task: what it learns.
        rows: to train on.
        dev: to choose the best weights by; without any the last ones are taken.
        settings: how.
        folder: of checkpoints and metrics.
        identity: what a checkpoint must agree with to be resumed.
        options: of this call; after ``stop_after`` nothing is saved beyond the last checkpoint.

    Returns:
        The outcome, None after ``stop_after``.

    Raises:
        TrainingError: a loss is not a number, or a checkpoint cannot be written or read.
    """
    accelerator, slots = _accelerator(settings)
    optimizer: Any = torch.optim.AdamW(_groups(network, settings), weight_decay=settings.weight_decay)
    network, optimizer = accelerator.prepare(network, optimizer)
    run = _Run(accelerator, network, optimizer, task, settings, slots)
    states = States(accelerator, folder, f"{identity}/{accelerator.num_processes}")
    progress = states.load_latest()
    plan = plan_updates(len(rows), settings)
    with Board(folder, quiet=options.get("quiet", False), active=accelerator.is_main_process) as board:
        board.begin(progress.step, len(plan))
        if progress.step:
            board.note(f"going on from the checkpoint of step {progress.step} of {len(plan)}")
        while progress.step < len(plan) and not progress.stopped:
            loss, norm = run.update([rows[i] for i in plan[progress.step]], progress.step, len(plan))
            progress.step += 1
            rate = settings.lr * rate_of(progress.step - 1, len(plan), settings)
            board.step(progress.step, {"loss": loss, "gradient": norm, "lr": rate})
            last = progress.step == len(plan)
            looked = bool(dev) and (last or progress.step % settings.evaluate_every == 0)
            if looked:
                metrics = run.evaluate(dev)
                board.look(progress.step, metrics)
                _weigh(progress, metrics, settings.patience)
            if looked or last or progress.step % settings.save_every == 0:
                states.save(progress)
            if progress.step == options.get("stop_after"):
                return None
        best = progress.best_step or progress.step
        if best != progress.step:
            board.note(f"the weights of step {best} were the best on the development rows")
            states.load(best)
        metrics = run.evaluate(dev) if dev else {}
    weights = accelerator.get_state_dict(network)
    accelerator.wait_for_everyone()
    return Outcome(weights if accelerator.is_main_process else {}, progress.step, best, metrics)


@dataclass(frozen=True, slots=True)
class _Run(Generic[Row]):
    """One process's part of the work; ``slots`` micro-batches per update in each process."""

    accelerator: Accelerator
    network: Any
    optimizer: Any
    task: Task[Row]
    settings: LoopSettings
    slots: int

    def update(self, rows: Sequence[Row], step: int, total: int) -> tuple[float, float]:
        """One update; returns the loss of the whole batch and the gradient's norm before clipping."""
        accelerator, processes = self.accelerator, self.accelerator.num_processes
        torch.manual_seed(self.settings.seed * 1_000_003 + step * 1_009 + accelerator.process_index)
        factor = rate_of(step, total, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * factor
        totals = self.task.totals(rows)
        # Rows of like length go together: less padding, and the sum stays what it is.
        ordered = sorted(rows, key=self.task.size)
        share = math.ceil(len(ordered) / (processes * self.slots))
        parts = [ordered[i : i + share] for i in range(0, len(ordered), share)]
        loss, norm = torch.zeros((), device=accelerator.device), 0.0
        self.network.train()
        for slot in range(self.slots):
            place = slot * processes + accelerator.process_index
            mine = parts[place] if place < len(parts) else []
            with accelerator.accumulate(self.network):
                # A process without rows takes part all the same: the others wait for its gradient.
                part = self.task.loss(self.network, mine or ordered[:1], totals, accelerator.device)
                part = part if mine else part * 0.0
                self._finite(part, step, mine)
                # accelerate divides by the number of slots, and averages over processes: here parts add up.
                accelerator.backward(part * self.slots * processes)
                loss += part.detach()
                if accelerator.sync_gradients:
                    clipped = accelerator.clip_grad_norm_(self.network.parameters(), self.settings.clip)
                    norm = float(clipped) if clipped is not None else 0.0
                self.optimizer.step()
                self.optimizer.zero_grad()
        whole: Any = accelerator.reduce(loss, reduction="sum")
        return float(whole), norm

    def evaluate(self, rows: Sequence[Row]) -> dict[str, float]:
        """Metrics of the development rows, the same in all processes."""
        processes, me = self.accelerator.num_processes, self.accelerator.process_index
        size = self.settings.micro_batch
        order = sorted(range(len(rows)), key=lambda i: self.task.size(rows[i]))
        parts = [order[i : i + size] for i in range(0, len(order), size)]
        found: list[tuple[int, tuple[float, ...]]] = []
        self.network.eval()
        with torch.no_grad():
            for first in range(0, len(parts), processes):
                own = first + me < len(parts)
                picked = parts[first + me] if own else parts[0]  # as above: everybody takes part
                measured = self.task.measure(self.network, [rows[i] for i in picked], self.accelerator.device)
                found += list(zip(picked, measured, strict=True)) if own else []
        together = dict(gather_object(found))
        return self.task.judge(rows, [together[i] for i in range(len(rows))])

    def _finite(self, loss: Tensor, step: int, rows: Sequence[Row]) -> None:
        if not bool(torch.isfinite(loss)):
            places = ", ".join(self.task.place(row) for row in rows[:8])
            raise TrainingError(
                f"the loss is {float(loss.detach())} in update {step + 1}, on the rows {places}: "
                "look at them, or lower lr with --restart; checkpoints before it are kept"
            )


def _accelerator(settings: LoopSettings) -> tuple[Accelerator, int]:
    """The accelerator, and how many micro-batches each process has in an update."""
    AcceleratorState._reset_state()  # settings of an earlier run in this process would be kept otherwise
    probe = Accelerator(mixed_precision="bf16" if settings.bf16 else "no")
    slots = math.ceil(settings.batch_size / (settings.micro_batch * probe.num_processes))
    probe.gradient_accumulation_steps = slots
    if probe.distributed_type == DistributedType.DEEPSPEED:
        plugin: Any = probe.state.deepspeed_plugin
        plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = settings.micro_batch
        plugin.deepspeed_config["gradient_accumulation_steps"] = slots
    return probe, slots


def _groups(network: nn.Module, settings: LoopSettings) -> list[dict[str, Any]]:
    """Parameters with their highest rate; the new linear layer is called ``head``."""
    head: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (head if name.startswith("head.") else rest).append(parameter)
    rates = ((rest, settings.lr), (head, settings.head_lr or settings.lr))
    return [{"params": params, "lr": rate, "highest": rate} for params, rate in rates if params]


def _weigh(progress: Progress, metrics: Mapping[str, float], patience: int) -> None:
    """Note whether this look was the best so far, and whether patience has run out."""
    name, value = next(iter(metrics.items()))
    value = -value if name.endswith("loss") else value
    if value > progress.best:
        progress.best, progress.best_step, progress.looks = value, progress.step, 0
    else:
        progress.looks += 1
        progress.stopped = 0 < patience <= progress.looks
