"""Fits calibrators to held-out scores, and chooses between them without looking at the rows it reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllm_protector.calibration.calibrators import Calibrator, Isotonic, Platt, Temperature, sigmoid
from mllm_protector.calibration.measures import nll
from mllm_protector.errors import InputError

__all__ = ["METHODS", "CrossFit", "cross_fit", "fit", "folds_of", "pav"]

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]
METHODS: tuple[str, ...] = (Temperature.method, Platt.method, Isotonic.method)
"""Methods in order of how much they can bend; ``auto`` prefers the earlier one where two are equal."""

_STEPS = 100
_ENOUGH = 1e-9
_SAME = 1e-3  # nats per row; a method that bends more must gain at least this


def fit(method: str, logits: ArrayLike, labels: ArrayLike) -> Calibrator:
    """Return the calibrator of that method which fits best.

    Args:
        method: one of ``METHODS``.
        logits: [n] scores as logits.
        labels: [n] True for harmful.

    Raises:
        InputError: no rows, one class only, or scores that fall as harm rises.
    """
    x, y = np.asarray(logits, dtype=np.float64), np.asarray(labels).astype(bool)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"logits and labels must be of one length, got {x.shape} and {y.shape}")
    if not 0 < y.sum() < len(y):
        raise InputError("calibration needs held-out rows of both classes: add data")
    if method == Temperature.method:
        scale, _ = _newton(x, y, free_bias=False)
        return Temperature(1.0 / scale)
    if method == Platt.method:
        return Platt(*_newton(x, y, free_bias=True))
    if method == Isotonic.method:
        return _isotonic(x, y)
    raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}")


def _newton(x: Floats, y: Labels, *, free_bias: bool) -> tuple[float, float]:
    """Scale and bias by Newton's method on the log loss; Platt's prior of one row per class bounds them."""
    positives, negatives = int(y.sum()), int((~y).sum())
    targets = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    columns = np.stack([x, np.full_like(x, float(free_bias))], axis=1)
    beta = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        p = sigmoid(columns @ beta)
        gradient = columns.T @ (p - targets)
        hessian = (columns * (p * (1 - p))[:, None]).T @ columns + 1e-6 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, gradient), -1.0, 1.0)
        beta = beta - step
        if float(np.abs(step).max()) < _ENOUGH:
            break
    if beta[0] <= 0:
        raise InputError("the scores fall as harm rises: the model has learned nothing, or its sign is wrong")
    return float(beta[0]), float(beta[1])


def pav(values: ArrayLike, weights: ArrayLike) -> Floats:
    """Return the rising sequence closest to ``values`` in weighted squares (pool adjacent violators).

    Barlow et al. 1972: each block of the result is the weighted mean of its values; linear in their number.
    """
    means: list[float] = []
    masses: list[float] = []
    sizes: list[int] = []
    for value, weight in zip(
        np.asarray(values, float).tolist(), np.asarray(weights, float).tolist(), strict=True
    ):
        mean, mass, size = value, weight, 1
        while means and means[-1] >= mean:
            before, heavy = means.pop(), masses.pop()
            mean = (before * heavy + mean * mass) / (heavy + mass)
            mass, size = mass + heavy, size + sizes.pop()
        means.append(mean)
        masses.append(mass)
        sizes.append(size)
    return np.repeat(means, sizes)


def _isotonic(x: Floats, y: Labels) -> Isotonic:
    """One knot per block, at the middle of its scores.

    A harmful row at the lowest score and a harmless one at the highest are added: the ends then follow
    Laplace's rule of succession instead of claiming 0 or 1.
    """
    x, y = np.append(x, (x.min(), x.max())), np.append(y, (True, False))
    places, inverse = np.unique(x, return_inverse=True)
    mass, hits = np.bincount(inverse).astype(np.float64), np.bincount(inverse, weights=y)
    fitted = pav(hits / mass, mass)
    starts = np.flatnonzero(np.append(True, np.diff(fitted) > 0))
    totals = np.add.reduceat(mass, starts)
    middles = np.add.reduceat(mass * places, starts) / totals
    return Isotonic(tuple(middles.tolist()), tuple(fitted[starts].tolist()))


def folds_of(groups: Sequence[str], folds: int) -> NDArray[np.int64]:
    """Return a fold per row, the same for equal groups; groups are dealt out largest first.

    Raises:
        InputError: there are fewer groups than folds.
    """
    names, inverse, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise InputError(f"{len(names)} different prompts cannot make {folds} parts: add data")
    sizes = np.zeros(folds, dtype=np.int64)
    fold_of_name = np.zeros(len(names), dtype=np.int64)
    for name in np.argsort(-counts, kind="stable"):
        fold = int(sizes.argmin())
        fold_of_name[name] = fold
        sizes[fold] += counts[name]
    return fold_of_name[inverse]


@dataclass(frozen=True, slots=True)
class CrossFit:
    """Probabilities of rows by calibrators that were fitted without them.

    Attributes:
        probabilities: [n], each by the calibrator of the other folds.
        calibrator: the same method fitted to all rows: what is saved.
    """

    probabilities: Floats
    calibrator: Calibrator


def cross_fit(
    method: str,
    logits: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[str],
    *,
    folds: int = 5,
) -> CrossFit:
    """Fit on all folds but one, apply to that one, for each fold.

    Args:
        method: one of ``METHODS``, or ``auto``: the one with the least cross-fitted log loss.
        logits: [n] scores as logits.
        labels: [n] True for harmful.
        groups: [n] what must not be on both sides, such as the prompt.
        folds: how many parts.

    Raises:
        InputError: see ``fit`` and ``folds_of``; a fold without one of the classes.
    """
    x, y = np.asarray(logits, dtype=np.float64), np.asarray(labels).astype(bool)
    if method == "auto":
        tried = [cross_fit(name, x, y, groups, folds=folds) for name in METHODS]
        losses = [nll(found.probabilities, y) for found in tried]
        return next(t for t, loss in zip(tried, losses, strict=True) if loss <= min(losses) + _SAME)
    place = folds_of(groups, folds)
    out = np.empty(len(x))
    for fold in range(folds):
        inside = place == fold
        out[inside] = fit(method, x[~inside], y[~inside]).apply(x[inside])
    return CrossFit(out, fit(method, x, y))
