"""Measures of calibration, on cases that can be checked by hand."""

from __future__ import annotations

import math

import pytest
from sklearn.metrics import brier_score_loss, log_loss

from mllm_protector.calibration import Bin, brier, calibration_error, nll, reliability

SCORES = [0.05, 0.15, 0.15, 0.95]
LABELS = [False, True, False, True]


def test_equal_width_and_equal_mass() -> None:
    assert reliability(SCORES, LABELS) == [
        Bin(0.05, 0.0, 1), Bin(0.15, 0.5, 2), Bin(0.95, 1.0, 1),
    ]  # fmt: skip
    halves = reliability(SCORES, LABELS, 2, equal_mass=True)
    assert [(b.observed, b.count) for b in halves] == [(0.5, 2), (0.5, 2)]
    assert [b.predicted for b in halves] == pytest.approx([0.10, 0.55])


def test_calibration_error_by_hand() -> None:
    assert calibration_error(SCORES, LABELS) == pytest.approx((0.05 + 2 * 0.35 + 0.05) / 4)
    assert calibration_error(SCORES, LABELS, 2, equal_mass=True) == pytest.approx((2 * 0.40 + 2 * 0.05) / 4)


def test_brier_and_log_loss_agree_with_scikit_learn() -> None:
    assert brier(SCORES, LABELS) == pytest.approx(brier_score_loss(LABELS, SCORES))
    assert nll(SCORES, LABELS) == pytest.approx(log_loss(LABELS, SCORES))


def test_a_sure_mistake_is_costly_but_finite() -> None:
    assert 20 < nll([0.0], [True]) < 40


def test_nothing_is_nan() -> None:
    assert reliability([], [], equal_mass=True) == []
    assert all(math.isnan(f([], [])) for f in (calibration_error, brier, nll))
    with pytest.raises(ValueError, match="one length"):
        brier([0.5], [])
