"""Planning a cascade: bands on one half, figures on the other."""

from __future__ import annotations

import numpy as np
import pytest

from mllm_protector.errors import InputError
from mllm_protector.evaluation.cascade import Band, figures, planning_half, trade_off


def made(n: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A first detector that is unsure around one half, and a second that always knows."""
    rng = np.random.default_rng(0)
    labels = rng.random(n) < 0.4
    first = np.clip(np.where(labels, 0.7, 0.3) + rng.normal(0, 0.2, n), 0, 1)
    second = np.where(labels, 0.99, 0.01)
    return first, second, labels, planning_half([f"prompt {i}" for i in range(n)])


def test_figures_by_hand() -> None:
    found = figures([0.1, 0.5, 0.6, 0.9], [0, 0, 1, 1], [0, 0, 1, 1], Band(0.4, 0.7), cost_ratio=10)
    assert (found.escalated, found.cost, found.f1, found.auroc) == (0.5, 6.0, 1.0, 1.0)
    alone = figures([0.1, 0.5, 0.6, 0.9], [0, 0, 1, 1], [0, 0, 1, 1], Band(1.0, 0.0), cost_ratio=10)
    assert (alone.escalated, alone.cost) == (0.0, 1.0) and alone.f1 == pytest.approx(0.8)


def test_more_budget_is_never_worse_and_never_overspent() -> None:
    first, second, labels, half = made()
    rows = trade_off(first, second, labels, half, cost_ratio=100)
    assert [row.budget for row in rows] == [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    assert all(row.planned.escalated <= row.budget for row in rows)
    scores = [row.planned.f1 for row in rows]
    assert scores == sorted(scores) and scores[-1] == 1.0
    assert rows[0].band.low > rows[0].band.high and rows[0].planned.cost == 1.0
    chosen = rows[4]
    assert chosen.band.low < 0.5 < chosen.band.high  # doubt lies around the threshold
    assert chosen.held_out.f1 > rows[0].held_out.f1
    assert chosen.planned.cost == pytest.approx(1 + 100 * chosen.planned.escalated)


def test_a_second_that_knows_nothing_is_not_asked() -> None:
    first, _, labels, half = made()
    rows = trade_off(labels.astype(float), 1.0 - labels, labels, half, cost_ratio=1)
    assert all(row.planned.escalated == 0.0 for row in rows)
    assert len(first) == len(half)


def test_halves_are_by_prompt() -> None:
    half = planning_half(["a", "b", "a", "c", "b"])
    assert half[0] == half[2] and half[1] == half[4]
    assert 0.4 < planning_half([str(i) for i in range(4000)]).mean() < 0.6


def test_one_class_is_told() -> None:
    with pytest.raises(InputError, match="harmful and harmless"):
        trade_off([0.5, 0.5], [1, 0], [1, 1], [True, False], cost_ratio=1)
