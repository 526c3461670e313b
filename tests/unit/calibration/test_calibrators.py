"""Calibrators rise, stay in [0, 1], are read back as written, and refuse what they cannot be."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.calibration import (
    Calibrator,
    Isotonic,
    Platt,
    Temperature,
    calibrator_from_dict,
    sigmoid,
    to_logits,
)

CALIBRATORS: list[Calibrator] = [
    Temperature(2.5),
    Platt(0.7, -1.2),
    Isotonic((-3.0, 0.0, 4.0), (0.02, 0.4, 0.9)),
    Isotonic((0.0,), (0.3,)),
]
IDS = ["temperature", "platt", "isotonic", "one knot"]


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=IDS)
@given(logits=st.lists(st.floats(-40, 40), min_size=2, max_size=20))
def test_rise_within_the_unit_interval(calibrator: Calibrator, logits: list[float]) -> None:
    values = calibrator.apply(np.sort(logits))
    assert ((values >= 0) & (values <= 1)).all()
    assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=IDS)
def test_keep_the_order_of_scores_that_the_labels_cannot_tell_apart(calibrator: Calibrator) -> None:
    assert (np.diff(calibrator.apply(np.linspace(-12, 12, 200))) > 0).all()


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=IDS)
def test_come_back_as_they_were_written(calibrator: Calibrator) -> None:
    assert calibrator_from_dict(json.loads(json.dumps(calibrator.to_dict()))) == calibrator


@pytest.mark.parametrize(
    "data",
    [
        {"method": "magic"},
        {"method": "platt", "scale": 1.0},
        {"method": "platt", "scale": 0.0, "bias": 0.0},
        {"method": "platt", "scale": 1.0, "bias": math.nan},
        {"method": "platt", "scale": 1.0, "bias": 0.0, "extra": 1},
        {"method": "temperature", "temperature": -1.0},
        {"method": "isotonic", "logits": [], "values": []},
        {"method": "isotonic", "logits": [0.0, 0.0], "values": [0.1, 0.2]},
        {"method": "isotonic", "logits": [0.0, 1.0], "values": [0.2, 0.1]},
        {"method": "isotonic", "logits": [0.0, 1.0], "values": [0.2]},
        {"method": "isotonic", "logits": [0.0], "values": [1.5]},
        {"method": "isotonic", "logits": ["a"], "values": [0.5]},
    ],
)
def test_impossible_values_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        calibrator_from_dict(data)


@given(st.floats(0.0001, 0.9999))
def test_logits_and_probabilities_are_two_forms_of_one_thing(probability: float) -> None:
    assert float(sigmoid(to_logits(probability))) == pytest.approx(probability, abs=1e-9)


def test_certainty_has_a_finite_logit() -> None:
    assert to_logits([0.0, 1.0]).tolist() == [-30.0, 30.0]
    assert sigmoid([-1e9, 1e9]) == pytest.approx([0.0, 1.0], abs=1e-12)
