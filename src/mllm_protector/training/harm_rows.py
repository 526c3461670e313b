"""Rows that teach P(harmful) and categories: labels, weights, tokens, loss; of detector and joint model."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mllm_protector.checkpoints import HARM
from mllm_protector.data import TrainingRecord
from mllm_protector.errors import ConfigError, TrainingError
from mllm_protector.networks.template import TextTemplate, windows
from mllm_protector.suggest import nearest
from mllm_protector.taxonomy import ADVICE, CATEGORIES
from mllm_protector.training.base import plain_tokenizer
from mllm_protector.training.loop import Totals
from mllm_protector.training.recipe import HarmSettings

__all__ = [
    "Encoded",
    "Unit",
    "encode",
    "harm_loss",
    "harm_metrics",
    "harm_outputs",
    "pair_up",
    "preferences",
    "template_of",
    "weigher",
    "with_safe_answers",
]

_ADVICE = frozenset(category.code for category in ADVICE)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as the network reads it.

    Attributes:
        ids: token ids.
        targets: label of each output, None where it is unknown.
        weight: of its loss.
        place: file and line.
        rewrite: token ids of a safe answer, for the joint model; () if there is none.
    """

    ids: tuple[int, ...]
    targets: tuple[float | None, ...]
    weight: float
    place: str
    rewrite: tuple[int, ...] = ()


Unit = tuple[Encoded, ...]
"""What is trained on at once: one row, or a harmful and a harmless answer to the same request."""


def with_safe_answers(records: Sequence[TrainingRecord]) -> list[TrainingRecord]:
    """The labelled records; a safe answer to a harmful one is a harmless row of its own."""
    found = []
    for record in records:
        if record.harmful is not None:
            found.append(replace(record, safe_response=None))
        if record.harmful and record.safe_response is not None:
            found.append(_answered(record, record.safe_response, harmful=False))
    return found


def preferences(records: Sequence[TrainingRecord]) -> list[tuple[TrainingRecord, TrainingRecord]]:
    """The worse and the better answer where nobody said whether the worse one is harmful.

    Which is better is no label of either, so these rows can teach the order alone.
    """
    return [
        (replace(record, safe_response=None), _answered(record, record.safe_response, harmful=None))
        for record in records
        if record.harmful is None and record.safe_response is not None
    ]


def _answered(record: TrainingRecord, response: str, *, harmful: bool | None) -> TrainingRecord:
    return replace(record, response=response, harmful=harmful, categories=None, safe_response=None)


def harm_outputs(
    rows: Sequence[TrainingRecord], wanted: Literal["auto", "none"] | tuple[str, ...]
) -> tuple[str, ...]:
    """The names of the outputs, after a look at whether ``rows`` can teach them.

    Raises:
        TrainingError: there are no rows, or only one class.
        ConfigError: a wanted category does not exist or has no rows.
    """
    labels = {row.harmful for row in rows}
    if len(labels) < 2:
        one = "harmful" if True in labels else "harmless"
        what = f"has only {one} rows" if rows else "has no labelled rows"
        raise TrainingError(f"the training data {what}: a detector needs rows of both classes; check --data")
    seen = {code for row in rows for code in row.categories or ()}
    if wanted == "none":
        return (HARM,)
    if wanted != "auto":
        for code in wanted:
            if code not in seen:
                known = "" if code in CATEGORIES else nearest(code, CATEGORIES)
                raise ConfigError(f"recipe: no row has the category {code!r}{known}")
        seen = set(wanted)
    return (HARM, *(code for code in CATEGORIES if code in seen))


def template_of(
    settings: HarmSettings, text: str, start: tuple[int, ...], end: tuple[int, ...], pad_id: int
) -> TextTemplate:
    """The layout that goes into the checkpoint."""
    longest = settings.max_length
    prompt = settings.prompt_tokens or longest // 2
    return TextTemplate(
        text=text, max_length=longest, prompt_tokens=prompt, overlap=min(64, longest // 8),
        normalise=settings.normalise, start_ids=start, end_ids=end, pad_id=pad_id,
    )  # fmt: skip


def weigher(
    settings: HarmSettings, rows: Sequence[TrainingRecord]
) -> Mapping[tuple[str, bool | None], float]:
    """(source, harmful) -> factor of a row's loss; raises ConfigError for a source without rows."""
    sources = {row.source for row in rows}
    for name in settings.source_weights:
        if name not in sources:
            raise ConfigError(
                f"recipe: source_weights: no row is of the source {name!r}{nearest(name, sources)}"
            )
    by_class: Mapping[str, float]
    if settings.class_weights != "balanced":
        by_class = {str(name): factor for name, factor in settings.class_weights.items()}
    else:
        harmful = sum(row.harmful is True for row in rows)
        harmless = sum(row.harmful is False for row in rows)
        both = harmful + harmless
        by_class = {"harmful": both / (2 * harmful), "harmless": both / (2 * harmless)}
    return {
        (source, label): settings.source_weights.get(source, 1.0) * by_class.get(name, 1.0)
        for source in sources
        for label, name in ((True, "harmful"), (False, "harmless"), (None, ""))
    }


def labels_of(row: TrainingRecord, outputs: Sequence[str]) -> tuple[float | None, ...]:
    """The label of each output: hazards are learned from harmful rows alone, advice from any that say."""
    harm = None if row.harmful is None else float(row.harmful)
    known = row.categories is not None
    return (
        harm,
        *(
            float(code in (row.categories or ())) if known and (code in _ADVICE or row.harmful) else None
            for code in outputs[1:]
        ),
    )


def encode(
    rows: Sequence[TrainingRecord],
    template: TextTemplate,
    tokenizer: Any,
    outputs: Sequence[str],
    weigh: Mapping[tuple[str, bool | None], float],
) -> tuple[list[Encoded], int]:
    """The first window of each row, and how many rows have more than that."""
    plain = plain_tokenizer(tokenizer)
    found, cut = [], 0
    for row in rows:
        laid_out = windows(row.exchange, template, lambda t: plain.encode(t, add_special_tokens=False).ids)
        weight = row.weight * weigh.get((row.source, row.harmful), 1.0)
        found.append(Encoded(laid_out.ids[0], labels_of(row, outputs), weight, row.place))
        cut += laid_out.cut
    return found, cut


def pair_up(
    rows: Sequence[TrainingRecord], encoded: Sequence[Encoded], preferred: Sequence[Unit] = ()
) -> list[Unit]:
    """Harmful and harmless answers to one request together; what has no partner stays alone.

    Args:
        rows: labelled rows.
        encoded: the same as the network reads them.
        preferred: pairs that are ready, the worse answer first.
    """
    waiting: dict[tuple[str, str], dict[bool, list[Encoded]]] = defaultdict(lambda: {True: [], False: []})
    for row, ready in zip(rows, encoded, strict=True):
        waiting[(row.prompt, row.image_text)][bool(row.harmful)].append(ready)
    units = [*preferred]
    for sides in waiting.values():
        pairs = min(len(sides[True]), len(sides[False]))
        units += list(zip(sides[True], sides[False], strict=False))
        units += [(row,) for side in sides.values() for row in side[pairs:]]
    random.Random(0).shuffle(units)  # noqa: S311 (no order of prompts is left for the loop's own shuffle to keep)
    return units


def harm_loss(logits: Tensor, rows: Sequence[Encoded], totals: Totals, auxiliary: float) -> Tensor:
    """The part of ``rows`` in the mean binary cross entropy of harm and of the known categories."""
    known = torch.tensor([[label is not None for label in row.targets] for row in rows], device=logits.device)
    targets = torch.tensor([[label or 0.0 for label in row.targets] for row in rows], device=logits.device)
    weights = torch.tensor([[row.weight] for row in rows], device=logits.device)
    each = binary_cross_entropy_with_logits(logits, targets, reduction="none") * known * weights
    loss = each[:, 0].sum() / max(totals["harm"], 1e-12)
    return loss + auxiliary * each[:, 1:].sum() / max(totals["categories"], 1.0)


def harm_metrics(rows: Sequence[Encoded], logits: Sequence[float]) -> dict[str, float]:
    """AUROC where there are both classes, and the mean binary cross entropy."""
    labels = torch.tensor([row.targets[0] or 0.0 for row in rows])
    scores = torch.tensor(logits)
    loss = float(binary_cross_entropy_with_logits(scores, labels))
    if len(set(labels.tolist())) < 2:
        return {"loss": loss}
    return {"auroc": float(roc_auc_score(labels.numpy(), scores.numpy())), "loss": loss}
