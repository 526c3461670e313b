"""Thresholds for a rate of false alarms, with what the held-out rows allow to say of that rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "CONFIDENCE",
    "OperatingPoint",
    "OperatingPoints",
    "clopper_pearson",
    "operating_points",
    "threshold_for_fpr",
]

CONFIDENCE = 0.95
"""One-sided confidence of the bounds, unless another is asked for."""

_EXACT = 50  # so many false alarms are each kept in a table; above, steps of a tenth
_GROWTH = 1.1


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and its false alarms.

    Attributes:
        threshold: a response is flagged at ``score >= threshold``.
        false_alarms: harmless held-out rows that are.
        harmless: how many harmless rows there were.
        upper: at most this rate, with the confidence asked for (Clopper and Pearson 1934, one-sided).
    """

    threshold: float
    false_alarms: int
    harmless: int
    upper: float

    @property
    def rate(self) -> float:
        """The share of false alarms seen."""
        return self.false_alarms / self.harmless

    def __str__(self) -> str:
        seen = f"{self.false_alarms} of {self.harmless:,} harmless held-out answers"
        return f"threshold {self.threshold:.4f}: {seen} reach it, at most {100 * self.upper:.2g} %"


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """A compact table from which a threshold for any rate can be taken.

    Attributes:
        harmless: how many harmless rows it rests on.
        alarms: counts of false alarms, rising from 0.
        thresholds: the lowest threshold that keeps to each count, falling.
    """

    harmless: int
    alarms: tuple[int, ...]
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.harmless < 1 or not self.alarms or len(self.alarms) != len(self.thresholds):
            raise ValueError("operating points need harmless rows, and a threshold for every count")
        if self.alarms[0] < 0 or any(b <= a for a, b in zip(self.alarms, self.alarms[1:], strict=False)):
            raise ValueError("counts of false alarms must rise from 0")
        if not all(0.0 < t <= 1.0 for t in self.thresholds):
            raise ValueError("thresholds must lie in (0, 1]")
        if any(b >= a for a, b in zip(self.thresholds, self.thresholds[1:], strict=False)):
            raise ValueError("thresholds must fall")

    def finest(self, confidence: float = CONFIDENCE) -> float:
        """The smallest rate that these rows could confirm: the bound if none of them raised an alarm."""
        return clopper_pearson(0, self.harmless, confidence)

    def resolve(self, target: float, confidence: float = CONFIDENCE) -> OperatingPoint:
        """Return the lowest threshold whose share of false alarms is at most ``target``.

        Raises:
            ValueError: the target is finer than the rows support, or no threshold of [0, 1] keeps to it.
        """
        if not 0.0 < target < 1.0:
            raise ValueError(f"a target lies in (0, 1), got {target:g}")
        if target < self.finest(confidence):
            needed = math.ceil(math.log(1.0 - confidence) / math.log1p(-target))
            raise ValueError(
                f"{self.harmless:,} harmless held-out answers cannot support a target of {target:g}, "
                f"which needs {needed:,}; the finest is {self.finest(confidence):.2g}"
            )
        kept = [i for i, count in enumerate(self.alarms) if count <= target * self.harmless + 1e-9]
        if not kept:
            raise ValueError(
                f"{self.alarms[0]} of {self.harmless:,} harmless held-out answers have the highest "
                f"score there is, so no threshold keeps to {target:g}"
            )
        best = kept[-1]
        upper = clopper_pearson(self.alarms[best], self.harmless, confidence)
        return OperatingPoint(self.thresholds[best], self.alarms[best], self.harmless, upper)

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON data."""
        return {"harmless": self.harmless, "alarms": list(self.alarms), "thresholds": list(self.thresholds)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OperatingPoints:
        """Read what ``to_dict`` wrote.

        Raises:
            ValueError, TypeError, KeyError: unknown or missing keys, or impossible values.
        """
        if set(data) != {"harmless", "alarms", "thresholds"}:
            raise ValueError(f"operating points have unknown or missing keys: {sorted(data)}")
        alarms = tuple(int(a) for a in data["alarms"])
        return cls(int(data["harmless"]), alarms, tuple(float(t) for t in data["thresholds"]))


def operating_points(scores: ArrayLike) -> OperatingPoints:
    """Return the table of the scores that harmless rows have, all in [0, 1]; ValueError of none.

    Thresholds lie half-way between neighbouring scores, so that a last digit decides nothing.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))[::-1]
    if not len(ordered) or not (ordered[-1] >= 0.0 and ordered[0] <= 1.0):
        raise ValueError("operating points need harmless rows with scores in [0, 1]")
    # A count of false alarms is possible where the score falls: after the last row of each run of ties.
    falls = (np.flatnonzero(np.diff(ordered) < 0) + 1).tolist()
    alarms: list[int] = []
    thresholds: list[float] = []
    wanted = 0.0
    for count in falls if ordered[0] == 1.0 else [0, *falls]:
        if count < wanted:
            continue
        above, below = float(ordered[count - 1]) if count else 1.0, float(ordered[count])
        middle = (above + below) / 2
        alarms.append(count)
        thresholds.append(middle if middle > below else above)
        wanted = count + 1 if count < _EXACT else count * _GROWTH
    if not alarms:
        raise ValueError("every harmless row has the highest score there is: no threshold tells them apart")
    return OperatingPoints(len(ordered), tuple(alarms), tuple(thresholds))


def threshold_for_fpr(
    scores: ArrayLike, labels: ArrayLike, target: float, confidence: float = CONFIDENCE
) -> OperatingPoint:
    """Return the lowest threshold at which at most ``target`` of the harmless rows are flagged.

    Args:
        scores: [n] probabilities in [0, 1].
        labels: [n] True for harmful; only the harmless rows matter.
        target: largest share of false alarms, in (0, 1).
        confidence: of the bound, one-sided.

    Raises:
        ValueError: the target is finer than the harmless rows support; see ``OperatingPoints.resolve``.
    """
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
    return operating_points(s[~y]).resolve(target, confidence)


def clopper_pearson(hits: int, total: int, confidence: float = CONFIDENCE) -> float:
    """Return the exact upper bound of a rate (Clopper and Pearson 1934), one-sided.

    It is the rate under which ``hits`` or fewer of ``total`` happen with probability 1 - confidence.

    Raises:
        ValueError: hits are not between 0 and total, or there are none.
    """
    if not (0 <= hits <= total and total > 0 and 0.0 < confidence < 1.0):
        raise ValueError(f"no bound for {hits} of {total} at confidence {confidence}")
    if hits == total:
        return 1.0
    i = np.arange(1, hits + 1)
    log_ways = np.append(0.0, np.cumsum(np.log(total - i + 1) - np.log(i)))
    counts = np.arange(hits + 1)
    low, high = hits / total, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        logs = log_ways + counts * math.log(max(rate, 1e-300)) + (total - counts) * math.log1p(-rate)
        highest = float(logs.max())
        at_most = math.exp(highest) * float(np.exp(logs - highest).sum())
        low, high = (rate, high) if at_most > 1.0 - confidence else (low, rate)
    return high
