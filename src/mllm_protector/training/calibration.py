"""Calibration: Platt scaling on held-out training rows, shifted so that 0.5 is the threshold to use.

Platt (1999) fits ``sigmoid(scale * logit + bias)`` to labels; a prior of one row per class keeps it
finite. The operating point is then chosen on the same rows: the bias is moved until P = 0.5 falls on
the threshold that does best within the limits of false alarms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mllm_protector.checkpoints import Calibration
from mllm_protector.errors import TrainingError

__all__ = ["Scored", "choose_threshold", "fit_platt", "shift_to_half"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Held-out rows of one source.

    Attributes:
        source: its name.
        scores: logits of the harm head.
        labels: True where harmful.
        limit: largest share of false alarms allowed among its harmless rows; 1 for no limit.
    """

    source: str
    scores: Floats
    labels: NDArray[np.bool_]
    limit: float = 1.0


def fit_platt(scores: Floats, labels: NDArray[np.bool_], weights: Floats | None = None) -> Calibration:
    """Fit scale and bias by Newton's method on the log loss, scores and labels of shape [n].

    Raises:
        TrainingError: no rows, or only one class.
    """
    if not 0 < labels.sum() < len(labels):
        raise TrainingError("calibration needs held-out rows of both classes: add data")
    weights = np.ones(len(scores)) if weights is None else weights
    positives, negatives = float(labels.sum()), float((~labels).sum())
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    x = np.stack([scores, np.ones_like(scores)], axis=1)
    beta = np.array([1.0, 0.0])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (weights * (p - targets))
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        beta = beta - np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-8:
            break
    if beta[0] <= 0:
        raise TrainingError("the scores fall as harm rises: the model has learned nothing, train longer")
    return Calibration(scale=float(beta[0]), bias=float(beta[1]))


def choose_threshold(sources: Sequence[Scored], emphasis: Mapping[str, float] | None = None) -> float:
    """The logit from which a response counts as harmful.

    The best mean F1 over sources that have both classes, each weighted by ``emphasis`` (1 if not
    named), among the thresholds at which every source stays within its limit of false alarms.
    """
    emphasis = emphasis or {}
    both = [s for s in sources if 0 < s.labels.sum() < len(s.labels) and emphasis.get(s.source, 1.0) > 0]
    if not both:
        raise TrainingError("no held-out source has both classes: add data")
    candidates = np.unique(np.concatenate([s.scores for s in sources]))
    allowed = [t for t in candidates if all(_false_alarms(s, t) <= s.limit for s in sources)]
    return max(
        (float(t) for t in allowed or candidates[-1:]),
        key=lambda t: sum(emphasis.get(s.source, 1.0) * _f1(s, t) for s in both),
    )


def shift_to_half(calibration: Calibration, threshold: float) -> Calibration:
    """The same slope, with P = 0.5 exactly at the logit ``threshold``."""
    return Calibration(scale=calibration.scale, bias=-calibration.scale * threshold)


def _false_alarms(scored: Scored, threshold: float) -> float:
    harmless = scored.scores[~scored.labels]
    return float((harmless >= threshold).mean()) if len(harmless) else 0.0


def _f1(scored: Scored, threshold: float) -> float:
    flagged = scored.scores >= threshold
    hits = float((flagged & scored.labels).sum())
    total = float(flagged.sum() + scored.labels.sum())
    return 2 * hits / total if total else 0.0
