"""The operating point of a release keeps its limits."""

from __future__ import annotations

import numpy as np
import pytest

from mllm_protector.checkpoints import Calibration
from mllm_protector.training.embedded.calibration import Scored, choose_threshold, shift_to_half


def test_threshold_is_best_for_f1_within_the_limit() -> None:
    mixed = Scored("mixed", np.array([-1.0, 0.0, 1.0, 2.0]), np.array([False, True, True, True]))
    assert choose_threshold([mixed]) == 0.0
    ordinary = Scored("benign", np.array([0.5, -3.0]), np.array([False, False]), limit=0.0)
    assert choose_threshold([mixed, ordinary]) == 1.0


def test_where_f1_is_flat_the_lowest_threshold_is_taken() -> None:
    scores = np.array([0.0, 0.1, 1.0, 1.1, 1.2])
    mixed = Scored("mixed", scores, np.array([False, True, False, True, True]))
    assert choose_threshold([mixed]) == 0.1
    assert choose_threshold([mixed], slack=0.2) == 0.0


def test_shift_puts_one_half_on_the_threshold() -> None:
    found = shift_to_half(Calibration(scale=1.3, bias=-0.4), 0.8)
    assert found.scale * 0.8 + found.bias == pytest.approx(0.0)
