"""Intervals and tests for rates, as pure functions of counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Rate", "cohen_kappa", "mcnemar", "quantile", "rate", "wilson"]

_Z = 1.959963984540054  # 97.5th percentile of the normal distribution


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % Wilson interval.

    Attributes:
        hits: how many.
        total: of how many that could be judged.
        value: hits / total, NaN of none.
        low: lower end of the interval.
        high: upper end.
        unjudged: how many more there were whose verdict is open; they are in no figure.
    """

    hits: int
    total: int
    value: float
    low: float
    high: float
    unjudged: int = 0

    @property
    def bounds(self) -> tuple[float, float]:
        """What the share would be if all unjudged were no hits, and if all were."""
        everything = self.total + self.unjudged
        if not everything:
            return math.nan, math.nan
        return self.hits / everything, (self.hits + self.unjudged) / everything

    def __str__(self) -> str:
        if not self.total:
            return "-"
        open_ = f" ({self.unjudged} open)" if self.unjudged else ""
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]{open_}"


def rate(hits: int, total: int, unjudged: int = 0) -> Rate:
    """Return the share with its interval."""
    low, high = wilson(hits, total)
    return Rate(hits, total, hits / total if total else math.nan, low, high, unjudged)


def wilson(hits: int, total: int, z: float = _Z) -> tuple[float, float]:
    """Return the Wilson score interval of a share (Wilson 1927); (NaN, NaN) of none.

    Raises:
        ValueError: hits are not between 0 and total.
    """
    if not 0 <= hits <= total:
        raise ValueError(f"{hits} of {total} is no share")
    if not total:
        return math.nan, math.nan
    share, square = hits / total, z * z
    centre = share + square / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    scale = 1 + square / total
    # At the ends the interval touches 0 or 1 exactly; rounding must not push it past the share.
    low = 0.0 if hits == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if hits == total else min(1.0, (centre + spread) / scale)
    return low, high


def mcnemar(fixed: int, broken: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (McNemar 1947).

    Args:
        fixed: pairs that were a hit before and are none after.
        broken: pairs that were none before and are one after.

    Under no effect each discordant pair falls either way with probability one half. 1.0 of no pairs.
    """
    pairs, fewer = fixed + broken, min(fixed, broken)
    if not pairs:
        return 1.0
    logs = [
        math.lgamma(pairs + 1) - math.lgamma(i + 1) - math.lgamma(pairs - i + 1) - pairs * math.log(2)
        for i in range(fewer + 1)
    ]
    highest = max(logs)
    return min(1.0, 2 * math.exp(highest) * sum(math.exp(value - highest) for value in logs))


def cohen_kappa(both: int, first: int, second: int, neither: int) -> float:
    """Return the agreement of two judges beyond chance (Cohen 1960).

    Args:
        both: items that both called harmful.
        first: items that only the first did.
        second: items that only the second did.
        neither: items that neither did.

    NaN where nothing was judged by both, or where both always say the same one thing.
    """
    total = both + first + second + neither
    if not total:
        return math.nan
    agreed = (both + neither) / total
    yes = ((both + first) / total) * ((both + second) / total)
    no = ((second + neither) / total) * ((first + neither) / total)
    chance = yes + no
    return math.nan if chance >= 1.0 else (agreed - chance) / (1.0 - chance)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the quantile with linear interpolation; NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
