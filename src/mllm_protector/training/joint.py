"""Trainer of a joint model: one backbone that gives a verdict and, only where it is harmful, writes the
rewrite.

A row is laid out once: request, answer, "Safe answer:", and the rewrite if there is one. The verdict is
read at the last token before the rewrite, which, in a causal model, has not seen it. Objective:

    L = BCE(harmful) + auxiliary * BCE(categories) + rewriting * CE(safe answer | request, harmful answer)

Both terms are means over the update: of rows, and of the tokens of the safe answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor

from mllm_protector.checkpoints import Calibration
from mllm_protector.data import TrainingRecord
from mllm_protector.errors import ConfigError, TrainingError
from mllm_protector.networks.harm import JointNetwork, pad, pooling_of
from mllm_protector.networks.manifest import JOINT, TrainedManifest
from mllm_protector.networks.template import REWRITE_TEXT, TextTemplate
from mllm_protector.training.base import Base, plain_tokenizer, special_ids
from mllm_protector.training.detoxifier import answer_loss, teachable
from mllm_protector.training.finish import (
    Story,
    begin_folder,
    identity_of,
    licences_of,
    rows_of,
    write_checkpoint,
)
from mllm_protector.training.harm_rows import (
    Encoded,
    encode,
    harm_loss,
    harm_metrics,
    harm_outputs,
    template_of,
    weigher,
    with_safe_answers,
)
from mllm_protector.training.loop import Totals, fit
from mllm_protector.training.recipe import HarmSettings, RunOptions
from mllm_protector.training.records import split_dev

__all__ = ["JointSettings", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSettings(HarmSettings):
    """What a joint model's training depends on but its data and base model.

    Attributes:
        rewriting: weight of the cross entropy of the rewrite, lambda of the objective.
        rewrite_tokens: longest safe answer in tokens; it stands behind ``max_length`` tokens of input.
        most_repeats: as for a detoxifier.
    """

    rewriting: float = 1.0
    rewrite_tokens: int = 192
    most_repeats: int = 5

    def __post_init__(self) -> None:
        HarmSettings.__post_init__(self)
        if self.rewriting < 0 or self.rewrite_tokens < 2:
            raise ConfigError("recipe: rewriting is at least 0, rewrite_tokens at least 2")


def train(
    settings: JointSettings,
    records: Sequence[TrainingRecord],
    base: Base,
    out: Path,
    *,
    dev: Sequence[TrainingRecord] | None = None,
    **options: Unpack[RunOptions],
) -> None:
    """Train a joint model and write its checkpoint to ``out``; the arguments are those of ``detector.train``.

    Raises:
        TrainingError: the data cannot be learned from, or training cannot go on.
        CheckpointError, ConfigError, OutputError: what is wrong, and its cure.
    """
    run = begin_folder(out, options)
    given, kept = split_dev(records, settings.dev_share) if dev is None else (records, dev)
    rows, answers, counts = _rows(given, settings)
    looked_at, looked_answers, _ = _rows(kept, settings)
    outputs = harm_outputs(rows, settings.categories)
    if not any(answers):
        raise TrainingError("no row has a safe answer to learn from: check --data, or train a detector")
    tokenizer = base.tokenizer()
    torch.manual_seed(settings.seed)
    network = JointNetwork(base.transformer(settings, writes=True), len(outputs))
    if pooling_of(network.transformer) != "last":
        raise TrainingError(f"{base.name} reads in both directions and cannot write: choose a causal model")
    start, _, pad_id = special_ids(tokenizer)
    template = template_of(settings, REWRITE_TEXT, start, (), pad_id)
    weigh = weigher(settings, rows)
    encoded, cut = _encode(rows, answers, template, tokenizer, outputs, weigh, settings)
    looked, _ = _encode(looked_at, looked_answers, template, tokenizer, outputs, weigh, settings)

    identity = identity_of(settings, base, (records, dev or ()))
    task = JointTask(settings, pad_id)
    outcome = fit(network, task, encoded, looked, settings, run, identity, options)
    if outcome is None or not outcome.weights:
        return
    manifest = TrainedManifest(
        kind=JOINT, name=out.resolve().name, base=base.name, weights="whole", max_length=settings.max_length,
        template=template, pooling="last", outputs=outputs,
        calibration=dict.fromkeys(outputs, Calibration()), licences=licences_of(base, records),
    )  # fmt: skip
    counts = {
        "rows judged": len(rows),
        "rows with a rewrite": sum(bool(answer) for answer in answers),
        "rows over the length, of which training read the first part": cut,
        **counts,
    }
    story = Story(
        "joint guard (verdict and rewrite)", base, settings, rows_of(rows), counts, outcome, len(looked)
    )
    fresh = JointNetwork(base.transformer(settings, writes=True), len(outputs))
    write_checkpoint(out, fresh, tokenizer, manifest, story)


def _rows(
    records: Sequence[TrainingRecord], settings: JointSettings
) -> tuple[list[TrainingRecord], list[str], dict[str, int]]:
    """Labelled rows, the rewrite of each ("" for none), and what was left out of rewriting."""
    taught, counts = teachable(records, settings.most_repeats)
    rewrites = {id(record): (record.safe_response or "").strip() for record in taught}
    counts["left out, nobody said whether they are harmful"] = sum(r.harmful is None for r in records)
    rows: list[TrainingRecord] = []
    answers: list[str] = []
    for record in records:
        made = with_safe_answers([record])
        rows += made
        answers += [rewrites.get(id(record), "") if row.harmful else "" for row in made]
    return rows, answers, counts


def _encode(
    rows: Sequence[TrainingRecord],
    answers: Sequence[str],
    template: TextTemplate,
    tokenizer: Any,
    outputs: Sequence[str],
    weigh: Mapping[tuple[str, bool | None], float],
    settings: JointSettings,
) -> tuple[list[Encoded], int]:
    end = tokenizer.eos_token_id
    if end is None:
        raise TrainingError("the base model's tokenizer has no end-of-text token: choose another base")
    encoded, cut = encode(rows, template, tokenizer, outputs, weigh)
    plain = plain_tokenizer(tokenizer)
    found = []
    for row, answer in zip(encoded, answers, strict=True):
        ids = plain.encode(f" {answer}", add_special_tokens=False).ids[: settings.rewrite_tokens - 1]
        found.append(replace(row, rewrite=(*ids, end)) if answer else row)
    return found, cut


@dataclass(frozen=True, slots=True)
class JointTask:
    """What a joint model learns."""

    settings: JointSettings
    pad_id: int

    def size(self, row: Encoded, /) -> int:
        """Tokens of input and rewrite."""
        return len(row.ids) + len(row.rewrite)

    def place(self, row: Encoded, /) -> str:
        """File and line."""
        return row.place

    def totals(self, rows: Sequence[Encoded], /) -> Totals:
        """Weight of all rows, known category labels, and tokens of the rewrites."""
        return {
            "harm": sum(row.weight for row in rows),
            "categories": float(sum(label is not None for row in rows for label in row.targets[1:])),
            "answers": sum(len(row.rewrite) * row.weight for row in rows),
        }

    def loss(self, network: Any, rows: Sequence[Encoded], totals: Totals, device: Any, /) -> Tensor:
        """The objective."""
        verdicts, nll = self._read(network, rows, device)
        weights = torch.tensor([row.weight for row in rows], device=device)
        written = (nll * weights).sum() / max(totals["answers"], 1e-12)
        return harm_loss(verdicts, rows, totals, self.settings.auxiliary) + self.settings.rewriting * written

    def measure(self, network: Any, rows: Sequence[Encoded], device: Any, /) -> list[tuple[float, ...]]:
        """Logit of harm, and the sum over the rewrite's tokens."""
        verdicts, nll = self._read(network, rows, device)
        return [(float(verdict), float(cost)) for verdict, cost in zip(verdicts[:, 0], nll, strict=True)]

    def judge(self, rows: Sequence[Encoded], measured: Sequence[tuple[float, ...]], /) -> dict[str, float]:
        """The objective without categories, then its parts."""
        harm = harm_metrics(rows, [figures[0] for figures in measured])
        tokens = sum(len(row.rewrite) for row in rows)
        rewriting = sum(m[1] for m in measured) / max(tokens, 1)
        whole = harm["loss"] + self.settings.rewriting * rewriting
        parts = {"verdict_loss": harm.pop("loss"), "rewrite_loss": rewriting}
        return {"loss": whole, **harm, **parts}

    def _read(self, network: Any, rows: Sequence[Encoded], device: Any) -> tuple[Tensor, Tensor]:
        ids, mask = pad([(*row.ids, *row.rewrite) for row in rows], self.pad_id, device)
        at = [len(row.ids) for row in rows]
        verdicts, written = network(ids, mask, torch.tensor(at, device=device) - 1)
        return verdicts, answer_loss(written.logits, at, [row.rewrite for row in rows])
