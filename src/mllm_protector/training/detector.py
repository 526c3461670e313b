"""Trainer of a harm detector over any encoder or causal language model.

Loss: binary cross entropy of P(harmful); plus ``auxiliary`` times that of the categories where they are
known; plus ``pairwise`` times -log sigmoid(harmful - harmless) over two answers to one request, or the worse
and the better one of a preference. Each is a mean over the update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mllm_protector.checkpoints import Calibration
from mllm_protector.data import TrainingRecord
from mllm_protector.errors import ConfigError
from mllm_protector.networks.harm import HarmNetwork, pad, pooling_of
from mllm_protector.networks.manifest import DETECTOR, TrainedManifest
from mllm_protector.networks.template import PAPER_TEXT
from mllm_protector.training.base import Base, special_ids
from mllm_protector.training.finish import (
    Story,
    begin_folder,
    identity_of,
    licences_of,
    rows_of,
    write_checkpoint,
)
from mllm_protector.training.harm_rows import (
    Unit,
    encode,
    harm_loss,
    harm_metrics,
    harm_outputs,
    pair_up,
    preferences,
    template_of,
    weigher,
    with_safe_answers,
)
from mllm_protector.training.loop import Totals, fit
from mllm_protector.training.recipe import HarmSettings, RunOptions
from mllm_protector.training.records import split_dev

__all__ = ["DetectorSettings", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSettings(HarmSettings):
    """What a detector's training depends on but its data and base model.

    Attributes:
        text: layout of the input, with ``{prompt}`` and ``{response}``.
        pooling: state that is read; ``auto`` is ``first`` for encoders and ``last`` for causal models.
        pairwise: weight of the pairwise term; 0 leaves it out, and with it pairs without a label.
    """

    text: str = PAPER_TEXT
    pooling: Literal["auto", "first", "last", "mean"] = "auto"
    pairwise: float = 0.0

    def __post_init__(self) -> None:
        HarmSettings.__post_init__(self)
        if self.pairwise < 0:
            raise ConfigError("recipe: pairwise is at least 0")


def train(
    settings: DetectorSettings,
    records: Sequence[TrainingRecord],
    base: Base,
    out: Path,
    *,
    dev: Sequence[TrainingRecord] | None = None,
    **options: Unpack[RunOptions],
) -> None:
    """Train a detector and write its checkpoint to ``out``; an interrupted run goes on where it was saved.

    Args:
        settings: the recipe.
        records: labelled exchanges.
        base: what to start from.
        out: folder of the checkpoint; ``training/`` in it has metrics and unfinished work.
        dev: rows to choose by; None keeps a share of the prompts.
        options: of this call.

    Raises:
        TrainingError: the data cannot be learned from, or training cannot go on.
        CheckpointError, ConfigError, OutputError: what is wrong, and its cure.
    """
    run = begin_folder(out, options)
    given, held_back = split_dev(records, settings.dev_share) if dev is None else (records, dev)
    rows, kept = with_safe_answers(given), with_safe_answers(held_back)
    ordered = preferences(given) if settings.pairwise else []
    worse, better = [pair[0] for pair in ordered], [pair[1] for pair in ordered]
    outputs = harm_outputs(rows, settings.categories)
    tokenizer = base.tokenizer()
    torch.manual_seed(settings.seed)
    network = HarmNetwork(base.transformer(settings, writes=False), len(outputs), "last")
    network.pooling = pooling_of(network.transformer) if settings.pooling == "auto" else settings.pooling
    start, end, pad_id = special_ids(tokenizer)
    template = template_of(settings, settings.text, start, end, pad_id)
    weigh = weigher(settings, [*rows, *worse, *better])
    encoded, cut = encode(rows, template, tokenizer, outputs, weigh)
    looked, _ = encode(kept, template, tokenizer, outputs, weigh)
    if settings.pairwise:
        both = [encode(side, template, tokenizer, outputs, weigh)[0] for side in (worse, better)]
        units = pair_up(rows, encoded, list(zip(*both, strict=True)))
    else:
        units = [(row,) for row in encoded]

    task = DetectorTask(settings, pad_id)
    identity = identity_of(settings, base, (records, dev or ()))
    outcome = fit(network, task, units, [(row,) for row in looked], settings, run, identity,
                  options)  # fmt: skip
    if outcome is None or not outcome.weights:
        return  # stopped, or not the first process
    manifest = TrainedManifest(
        kind=DETECTOR, name=out.resolve().name, base=base.name, weights="whole",
        max_length=settings.max_length, template=template, pooling=network.pooling, outputs=outputs,
        calibration=dict.fromkeys(outputs, Calibration()), licences=licences_of(base, records),
    )  # fmt: skip
    unlabelled = sum(record.harmful is None for record in given)
    counts = {
        "rows trained on": len(rows),
        "rows over the length, of which training read the first part": cut,
        "preferences, of which only the order was learned": len(ordered),
        "left out, nobody said whether they are harmful": unlabelled - len(ordered),
    }
    story = Story("harm detector", base, settings, rows_of(rows), counts, outcome, len(kept))
    fresh = HarmNetwork(base.transformer(settings, writes=False), len(outputs), network.pooling)
    write_checkpoint(out, fresh, tokenizer, manifest, story)


@dataclass(frozen=True, slots=True)
class DetectorTask:
    """What a detector learns; rows are units."""

    settings: DetectorSettings
    pad_id: int

    def size(self, row: Unit, /) -> int:
        """Tokens of the longer answer."""
        return max(len(one.ids) for one in row)

    def place(self, row: Unit, /) -> str:
        """Files and lines."""
        return " and ".join(one.place for one in row)

    def totals(self, rows: Sequence[Unit], /) -> Totals:
        """Weight of the labelled rows, known category labels, and pairs."""
        flat = [one for unit in rows for one in unit]
        return {
            "harm": sum(one.weight for one in flat if one.targets[0] is not None),
            "categories": float(sum(label is not None for one in flat for label in one.targets[1:])),
            "pairs": float(sum(len(unit) == 2 for unit in rows)),
        }

    def loss(self, network: Any, rows: Sequence[Unit], totals: Totals, device: Any, /) -> Tensor:
        """Binary cross entropy, category and pairwise terms."""
        flat = [one for unit in rows for one in unit]
        logits = network(*pad([one.ids for one in flat], self.pad_id, device))
        loss = harm_loss(logits, flat, totals, self.settings.auxiliary)
        if self.settings.pairwise and totals["pairs"]:
            at = 0
            for unit in rows:
                if len(unit) == 2:
                    gap = logits[at, 0] - logits[at + 1, 0]
                    loss = loss - self.settings.pairwise * logsigmoid(gap) / totals["pairs"]
                at += len(unit)
        return loss

    def measure(self, network: Any, rows: Sequence[Unit], device: Any, /) -> list[tuple[float, ...]]:
        """Logit of harm."""
        logits = network(*pad([unit[0].ids for unit in rows], self.pad_id, device))
        return [(float(value),) for value in logits[:, 0]]

    def judge(self, rows: Sequence[Unit], measured: Sequence[tuple[float, ...]], /) -> dict[str, float]:
        """AUROC and mean loss."""
        return harm_metrics([unit[0] for unit in rows], [figures[0] for figures in measured])
