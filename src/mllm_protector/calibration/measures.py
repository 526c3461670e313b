"""How well probabilities agree with labels: reliability, calibration error, Brier score, log loss.

Pure functions of [n] probabilities and [n] labels (True for harmful); NaN of no rows, never a made-up 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bin", "brier", "calibration_error", "nll", "reliability"]

Floats = NDArray[np.float64]

_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of similar probability.

    Attributes:
        predicted: their mean probability.
        observed: the share of them that is harmful.
        count: how many they are.
    """

    predicted: float
    observed: float
    count: int


def reliability(
    scores: ArrayLike, labels: ArrayLike, bins: int = 10, *, equal_mass: bool = False
) -> list[Bin]:
    """The rows in equal parts of [0, 1], empty parts left out; a score of 1 belongs to the last.

    Args:
        scores: probabilities in [0, 1].
        labels: True for harmful.
        bins: how many parts.
        equal_mass: parts of as many rows each, in order of score, instead of parts of equal width.
    """
    s, y = _rows(scores, labels)
    if equal_mass:
        place = np.empty(len(s), dtype=np.int64)
        place[np.argsort(s, kind="stable")] = np.arange(len(s)) * bins // max(len(s), 1)
    else:
        place = np.minimum((s * bins).astype(np.int64), bins - 1)
    found = []
    for b in range(bins):
        chosen = place == b
        if chosen.any():
            found.append(Bin(float(s[chosen].mean()), float(y[chosen].mean()), int(chosen.sum())))
    return found


def calibration_error(
    scores: ArrayLike, labels: ArrayLike, bins: int = 10, *, equal_mass: bool = False
) -> float:
    """ECE: the mean distance of probability and share per bin, by rows (Naeini et al. 2015).

    ``equal_mass`` gives its steadier form with as many rows in every bin (Nixon et al. 2019).
    """
    found = reliability(scores, labels, bins, equal_mass=equal_mass)
    total = sum(b.count for b in found)
    return sum(b.count * abs(b.predicted - b.observed) for b in found) / total if total else float("nan")


def brier(scores: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared distance of probability and label (Brier 1950)."""
    s, y = _rows(scores, labels)
    return float(((s - y) ** 2).mean()) if len(s) else float("nan")


def nll(scores: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log-likelihood of the labels, in nats; a sure mistake costs about 28."""
    s, y = _rows(scores, labels)
    right = np.clip(np.where(y > 0, s, 1.0 - s), _LEAST, 1.0)
    return float(-np.log(right).mean()) if len(s) else float("nan")


def _rows(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    s = np.asarray(scores, dtype=np.float64)
    y = np.asarray(labels).astype(bool).astype(np.float64)
    if s.ndim != 1 or s.shape != y.shape:
        raise ValueError(f"scores and labels must be of one length, got {s.shape} and {y.shape}")
    return s, y
