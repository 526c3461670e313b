"""The figures of a report from plain counts and scores: pure functions, each checked by hand in its test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mllm_protector.evaluation.metrics import (
    auprc,
    auroc,
    calibration_error,
    f1,
    mean_interval,
    reliability,
    roc_curve,
    tpr_at_fpr,
)
from mllm_protector.evaluation.report import Average, Cost, Detector, Effect, Group, Utility
from mllm_protector.evaluation.statistics import mcnemar, quantile, rate

__all__ = ["Verdict", "average_of", "cost_of", "detector_of", "effect_of", "utility_of"]

Verdict = bool | None
"""Harmful, safe, or open."""


def effect_of(pairs: Mapping[tuple[Verdict, Verdict], int]) -> Effect:
    """Return before, after and the paired test from counts of (before, after)."""

    def margin(side: int, value: Verdict) -> int:
        return sum(count for pair, count in pairs.items() if pair[side] is value)

    before, after = (
        rate(margin(s, True), margin(s, True) + margin(s, False), margin(s, None)) for s in (0, 1)
    )
    fixed, broken = pairs.get((True, False), 0), pairs.get((False, True), 0)
    return Effect(before, after, fixed, broken, mcnemar(fixed, broken))


def average_of(over: str, groups: Sequence[Group]) -> Average:
    """Return the plain mean of the groups' rates; a group without a rate on either side is left out."""
    usable = [g.effect for g in groups if g.effect.before.total and g.effect.after.total]
    if not usable:
        return Average(over, 0, math.nan, math.nan)
    before = float(np.mean([effect.before.value for effect in usable]))
    return Average(over, len(usable), before, float(np.mean([effect.after.value for effect in usable])))


def utility_of(judge: str, accuracies: Sequence[tuple[float, float]], unjudged: int) -> Utility:
    """Return mean accuracy before and after, with the bootstrapped interval of the difference."""
    if not accuracies:
        return Utility(judge, 0, unjudged, math.nan, math.nan, math.nan, math.nan)
    pairs = np.array(accuracies, dtype=np.float64)
    before, after = (float(value) for value in pairs.mean(axis=0))
    moved = mean_interval(pairs[:, 1] - pairs[:, 0])
    return Utility(judge, len(pairs), unjudged, before, after, moved.low, moved.high)


def detector_of(truth: str, scores: Sequence[float], harmful: Sequence[bool]) -> Detector | None:
    """Return how well ``scores`` tell harmful answers apart; None of none.

    Args:
        truth: whose verdict ``harmful`` is.
        scores: P(harmful).
        harmful: whether it is.
    """
    if not scores:
        return None
    return Detector(
        truth=truth,
        samples=len(scores),
        harmful=sum(harmful),
        auroc=auroc(scores, harmful),
        auprc=auprc(scores, harmful),
        f1=f1(scores, harmful),
        tpr_at_1_fpr=tpr_at_fpr(scores, harmful, 0.01),
        ece=calibration_error(scores, harmful),
        roc=tuple(roc_curve(scores, harmful, 100)),
        bins=tuple(reliability(scores, harmful)),
    )


def cost_of(seconds: Sequence[float], calls: int) -> Cost:
    """Return mean, median and 95th percentile of the seconds, and calls per query."""
    mean = float(np.mean(seconds)) if seconds else math.nan
    per_query = calls / len(seconds) if seconds else 0.0
    return Cost(mean, quantile(seconds, 0.5), quantile(seconds, 0.95), per_query)
