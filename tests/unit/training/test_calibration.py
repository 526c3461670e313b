"""Calibration finds what made the data, and the operating point keeps its limits."""

from __future__ import annotations

import numpy as np
import pytest

from mllm_protector.errors import TrainingError
from mllm_protector.training.calibration import Scored, choose_threshold, fit_platt, shift_to_half


def test_platt_recovers_scale_and_bias() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=20000) * 2
    labels = rng.random(20000) < 1 / (1 + np.exp(-(1.7 * scores - 0.6)))
    found = fit_platt(scores, labels)
    assert found.scale == pytest.approx(1.7, abs=0.08)
    assert found.bias == pytest.approx(-0.6, abs=0.06)


def test_platt_stays_finite_on_separable_scores() -> None:
    found = fit_platt(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    assert 0 < found.scale < 100


@pytest.mark.parametrize("labels", [[True, True], [False, False]])
def test_one_class_is_refused(labels: list[bool]) -> None:
    with pytest.raises(TrainingError, match="both classes"):
        fit_platt(np.array([0.0, 1.0]), np.array(labels))


def test_inverted_scores_are_refused() -> None:
    with pytest.raises(TrainingError, match="learned nothing"):
        fit_platt(np.arange(40.0), np.arange(40) < 20)


def test_threshold_is_best_for_f1_within_the_limit() -> None:
    mixed = Scored("mixed", np.array([-1.0, 0.0, 1.0, 2.0]), np.array([False, True, True, True]))
    assert choose_threshold([mixed]) == 0.0
    ordinary = Scored("benign", np.array([0.5, -3.0]), np.array([False, False]), limit=0.0)
    assert choose_threshold([mixed, ordinary]) == 1.0


def test_shift_puts_one_half_on_the_threshold() -> None:
    found = shift_to_half(
        fit_platt(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, True, False, True])), 0.8
    )
    assert found.scale * 0.8 + found.bias == pytest.approx(0.0)
