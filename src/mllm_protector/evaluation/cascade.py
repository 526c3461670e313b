"""Which answers a cheap detector should pass on to a dear one: bands chosen on one half, told on the other.

A band [low, high] of the cheap detector's P(harmful) is passed on. For each budget (the share that may be
passed on) the band with the best F1 on the planning half is taken; its figures on the other half, which had
no say, are those to believe. Halves are by prompt, so that no prompt is in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllm_protector.errors import InputError
from mllm_protector.evaluation.metrics import auroc, f1

__all__ = ["BUDGETS", "Band", "Figures", "Row", "figures", "planning_half", "trade_off"]

BUDGETS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares passed on that the table shows."""

_EDGES = 60  # quantiles of the first detector's scores that a band may begin or end at

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Band:
    """Probabilities of the first detector that are passed on, ends included; none if ``low > high``."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """How a cascade does on some rows.

    Attributes:
        escalated: share passed on to the second detector.
        cost: of an answer, in units of the first detector's cost.
        f1: of the harmful class at the threshold; NaN without harmful rows.
        auroc: NaN without rows of both classes.
    """

    escalated: float
    cost: float
    f1: float
    auroc: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the trade-off.

    Attributes:
        budget: most that may be passed on, of the planning half.
        band: the best one within it.
        planned: its figures on the half it was chosen on.
        held_out: its figures on the other half.
    """

    budget: float
    band: Band
    planned: Figures
    held_out: Figures


def planning_half(prompts: Sequence[str]) -> Labels:
    """Return which rows a band is chosen on: half of the prompts, always the same ones."""
    digests = [hashlib.blake2b(p.encode("utf-8", "replace"), digest_size=1).digest()[0] for p in prompts]
    return np.array([digest % 2 == 0 for digest in digests], dtype=np.bool_)


def figures(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    band: Band,
    *,
    cost_ratio: float,
    threshold: float = 0.5,
) -> Figures:
    """Return how the cascade with ``band`` does.

    Args:
        first: P(harmful) by the cheap detector, [n].
        second: the same by the dear one, [n].
        labels: True where harmful, [n].
        band: what is passed on.
        cost_ratio: cost of the dear one in units of the cheap one's.
        threshold: P(harmful) from which an answer counts as harmful.
    """
    cheap, dear = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    passed = (cheap >= band.low) & (cheap <= band.high)
    scores, share = np.where(passed, dear, cheap), float(passed.mean()) if len(passed) else 0.0
    return Figures(share, 1.0 + share * cost_ratio, f1(scores, labels, threshold), auroc(scores, labels))


def trade_off(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    planning: ArrayLike,
    *,
    cost_ratio: float,
    budgets: Sequence[float] = BUDGETS,
    threshold: float = 0.5,
) -> list[Row]:
    """Return the best band for each budget, with its figures on both halves.

    Args:
        first, second, labels, cost_ratio, threshold: as for ``figures``.
        planning: True for the rows that bands are chosen on, [n].
        budgets: shares that may be passed on, in [0, 1].

    Raises:
        InputError: a half has no harmful or no harmless rows.
    """
    cheap, dear = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    y, half = np.asarray(labels).astype(bool), np.asarray(planning).astype(bool)
    for part in (half, ~half):
        if not 0 < int(y[part].sum()) < int(part.sum()):
            raise InputError("each half of the prompts needs harmful and harmless answers: give more rows")
    bands = [Band(1.0, 0.0), Band(0.0, 1.0), *_bands(cheap[half])]
    found = [_quick(cheap[half], dear[half], y[half], band, threshold) for band in bands]
    rows = []
    for budget in sorted(set(budgets)):
        allowed = [n for n, (share, _) in enumerate(found) if share <= budget]
        best = max(allowed, key=lambda n: (found[n][1], -found[n][0]))
        planned, held = (
            figures(cheap[part], dear[part], y[part], bands[best], cost_ratio=cost_ratio, threshold=threshold)
            for part in (half, ~half)
        )
        rows.append(Row(budget, bands[best], planned, held))
    return rows


def _bands(scores: Scores) -> list[Band]:
    edges = np.unique(np.quantile(scores, np.linspace(0.0, 1.0, _EDGES)).round(6))
    return [Band(float(low), float(high)) for n, low in enumerate(edges) for high in edges[n:]]


def _quick(cheap: Scores, dear: Scores, labels: Labels, band: Band, threshold: float) -> tuple[float, float]:
    """(share passed on, F1): what bands are compared by."""
    passed = (cheap >= band.low) & (cheap <= band.high)
    return float(passed.mean()), f1(np.where(passed, dear, cheap), labels, threshold)
