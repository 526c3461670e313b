"""Metrics of a binary detector, in numpy; pure functions of scores and labels.

Scores are P(harmful) or any number that rises with harm, labels are True for harmful. A metric that
is undefined for its input (no positives, say) is NaN, never a made-up 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllm_protector.calibration.measures import Bin, calibration_error, reliability

__all__ = [
    "Bin",
    "Interval",
    "auprc",
    "auroc",
    "bootstrap",
    "calibration_error",
    "f1",
    "flagged_share",
    "macro_f1",
    "mean_interval",
    "pr_curve",
    "reliability",
    "roc_curve",
    "tpr_at_fpr",
]

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Interval:
    """A metric with its 95 % bootstrap interval.

    Attributes:
        value: on all rows.
        low: 2.5th percentile of the resamples.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Probability that a harmful row scores above a harmless one; ties count one half (Mann-Whitney)."""
    s, y = _pair(scores, labels)
    positives, negatives = int(y.sum()), int((~y).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(s, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]  # mean rank of ties, from 1
    return float((ranks[y].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auprc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision: precision at each harmful row's score, summed over the steps in recall.

    Rows of one score are taken together, so that their order does not matter.
    """
    s, y = _pair(scores, labels)
    if not y.any():
        return float("nan")
    order = np.argsort(-s, kind="stable")
    ordered, hits = s[order], np.cumsum(y[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # the end of each run of ties
    precision = hits[last] / (last + 1)
    return float((precision * np.diff(np.append(0, hits[last]))).sum() / hits[-1])


def roc_curve(scores: ArrayLike, labels: ArrayLike, points: int = 200) -> list[tuple[float, float]]:
    """(false alarms, found) from (0, 0) to (1, 1), at most ``points`` of them; empty if undefined."""
    s, y = _pair(scores, labels)
    if not y.any() or y.all():
        return []
    order = np.argsort(-s, kind="stable")
    ordered = s[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    found = np.cumsum(y[order])[last] / y.sum()
    alarms = np.cumsum(~y[order])[last] / (~y).sum()
    kept = np.unique(np.linspace(0, len(last) - 1, min(points, len(last))).round().astype(int))
    return [(0.0, 0.0), *((float(a), float(f)) for a, f in zip(alarms[kept], found[kept], strict=True))]


def pr_curve(scores: ArrayLike, labels: ArrayLike, points: int = 200) -> list[tuple[float, float]]:
    """(found, precision) by falling threshold, at most ``points`` of them; empty if nothing is harmful."""
    s, y = _pair(scores, labels)
    if not y.any():
        return []
    order = np.argsort(-s, kind="stable")
    ordered, hits = s[order], np.cumsum(y[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    kept = last[np.unique(np.linspace(0, len(last) - 1, min(points, len(last))).round().astype(int))]
    return [(float(hits[i] / hits[-1]), float(hits[i] / (i + 1))) for i in kept]


def f1(scores: ArrayLike, labels: ArrayLike, threshold: float = 0.5) -> float:
    """F1 of the harmful class where a row is flagged at ``score >= threshold``."""
    s, y = _pair(scores, labels)
    flagged = s >= threshold
    total = int(flagged.sum()) + int(y.sum())
    return float("nan") if not y.any() else 2 * int((flagged & y).sum()) / total


def tpr_at_fpr(scores: ArrayLike, labels: ArrayLike, fpr: float) -> float:
    """Largest share of harmful rows flagged by a threshold that flags at most ``fpr`` of the harmless."""
    s, y = _pair(scores, labels)
    if not y.any() or y.all():
        return float("nan")
    harmless = np.sort(s[~y])[::-1]
    allowed = int(np.floor(fpr * len(harmless) + 1e-9))
    if allowed >= len(harmless):
        return 1.0
    return float((s[y] > harmless[allowed]).mean())


def flagged_share(scores: ArrayLike, threshold: float = 0.5) -> float:
    """Share of rows at or above ``threshold``: the false-alarm rate if all rows are harmless."""
    s = np.asarray(scores, dtype=np.float64)
    return float((s >= threshold).mean()) if len(s) else float("nan")


def macro_f1(predicted: ArrayLike, actual: ArrayLike) -> float:
    """Mean over the classes of ``actual`` of their F1, for one predicted class per row."""
    p, a = np.asarray(predicted), np.asarray(actual)
    if p.shape != a.shape or p.ndim != 1:
        raise ValueError(f"predicted and actual must be of one length, got {p.shape} and {a.shape}")
    each = []
    for name in np.unique(a):
        hits = int(((p == name) & (a == name)).sum())
        each.append(2 * hits / (int((p == name).sum()) + int((a == name).sum())))
    return float(np.mean(each)) if each else float("nan")


def bootstrap(
    metric: Callable[[Scores, Labels], float],
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    resamples: int = 500,
    seed: int = 0,
) -> Interval:
    """``metric`` with its 95 % percentile interval over resampled rows (Efron 1979).

    Resamples in which the metric is undefined are left out.
    """
    s, y = _pair(scores, labels)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples if len(s) else 0):
        picked = rng.integers(0, len(s), len(s))
        values.append(metric(s[picked], y[picked]))
    defined = [v for v in values if not np.isnan(v)]
    if not defined:
        return Interval(metric(s, y), float("nan"), float("nan"))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(metric(s, y), float(low), float(high))


def mean_interval(values: ArrayLike, *, resamples: int = 1000) -> Interval:
    """The mean with its 95 % bootstrap interval; NaN of no values."""
    known = np.asarray(values, dtype=np.float64)
    if not len(known):
        return Interval(float("nan"), float("nan"), float("nan"))
    return bootstrap(lambda s, _: float(s.mean()), known, np.ones(len(known)), resamples=resamples)


def _pair(scores: ArrayLike, labels: ArrayLike) -> tuple[Scores, Labels]:
    s = np.asarray(scores, dtype=np.float64)
    y = np.asarray(labels).astype(bool)
    if s.ndim != 1 or s.shape != y.shape:
        raise ValueError(f"scores and labels must be of one length, got {s.shape} and {y.shape}")
    return s, y
