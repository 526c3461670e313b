"""Fitting finds what made the data, agrees with scikit-learn, and measures on rows it did not see."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression

from mllm_protector.calibration import (
    METHODS,
    Isotonic,
    Platt,
    Temperature,
    calibration_error,
    cross_fit,
    fit,
    folds_of,
    nll,
    pav,
    sigmoid,
)
from mllm_protector.errors import InputError


def drawn(scale: float, bias: float, n: int = 4000) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logits, and labels that are harmful with probability sigmoid(scale * logit + bias)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=n) * 3
    return logits, rng.random(n) < sigmoid(scale * logits + bias)


def test_platt_recovers_scale_and_bias_and_agrees_with_logistic_regression() -> None:
    logits, labels = drawn(1.7, -0.6, 20_000)
    found = fit("platt", logits, labels)
    assert isinstance(found, Platt)
    assert found.scale == pytest.approx(1.7, abs=0.08)
    assert found.bias == pytest.approx(-0.6, abs=0.08)
    reference = LogisticRegression(C=1e6).fit(logits[:, None], labels)
    assert found.scale == pytest.approx(float(reference.coef_[0, 0]), abs=0.01)
    assert found.bias == pytest.approx(float(reference.intercept_[0]), abs=0.01)


def test_temperature_recovers_an_over_confident_scale() -> None:
    found = fit("temperature", *drawn(0.4, 0.0, 20_000))
    assert isinstance(found, Temperature)
    assert found.temperature == pytest.approx(2.5, abs=0.1)


def test_separable_scores_stay_finite() -> None:
    found = fit("platt", np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    assert isinstance(found, Platt)
    assert 0 < found.scale < 100


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("labels", [[True, True], [False, False], []])
def test_one_class_is_refused(method: str, labels: list[bool]) -> None:
    with pytest.raises(InputError, match="both classes"):
        fit(method, np.zeros(len(labels)), np.array(labels, dtype=bool))


def test_inverted_scores_are_refused() -> None:
    with pytest.raises(InputError, match="learned nothing"):
        fit("platt", np.arange(40.0), np.arange(40) < 20)


def test_lengths_and_names_are_checked() -> None:
    with pytest.raises(ValueError, match="one length"):
        fit("platt", [0.0, 1.0], [True])
    with pytest.raises(ValueError, match="unknown method"):
        fit("spline", [0.0, 1.0], [True, False])


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 10)), min_size=1, max_size=30),
)
def test_pav_agrees_with_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    values, weights = (np.array(part) for part in zip(*pairs, strict=True))
    assert pav(values, weights) == pytest.approx(isotonic_regression(values, sample_weight=weights), abs=1e-9)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_pav_is_the_best_rising_sequence(values: list[int]) -> None:
    found = pav(values, np.ones(len(values)))
    distance = float(((found - values) ** 2).sum())
    grid = np.linspace(0, 4, 9)
    rising = (c for c in product(grid, repeat=len(values)) if all(a <= b for a, b in pairwise(c)))
    assert distance <= min(float(((np.array(c) - values) ** 2).sum()) for c in rising) + 1e-9


def test_isotonic_bends_where_a_line_cannot_and_never_claims_certainty() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=6000) * 3
    truth = np.where(logits < 0, 0.1, np.where(logits < 2, 0.5, 0.6))
    labels = rng.random(6000) < truth
    found = fit("isotonic", logits, labels)
    assert isinstance(found, Isotonic)
    # The ends rest on few rows; the bulk is what the map has to follow.
    assert float(np.abs(found.apply(logits) - truth).mean()) < 0.05
    separable = fit("isotonic", np.arange(20.0) - 9.5, np.arange(20) >= 10)
    assert separable.apply([-30.0, 30.0]) == pytest.approx([1 / 11, 10 / 11], abs=0.01)


def test_cross_fitting_is_by_group_and_honest() -> None:
    logits, labels = drawn(0.5, -1.0)
    groups = [str(i // 3) for i in range(len(logits))]
    found = cross_fit("platt", logits, labels, groups)
    assert calibration_error(found.probabilities, labels) < 0.03 < calibration_error(sigmoid(logits), labels)
    place = folds_of(groups, 5)
    assert all(len({int(f) for f in place[i : i + 3]}) == 1 for i in range(0, len(groups) - 2, 3))
    assert np.bincount(place).min() > 0.15 * len(groups)


def test_scores_without_meaning_are_not_made_to_look_calibrated_by_their_own_labels() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(60) < 0.5
    noise = rng.normal(size=60)
    found = cross_fit("isotonic", noise, labels, [str(i) for i in range(60)])
    assert nll(found.probabilities, labels) > nll(found.calibrator.apply(noise), labels)


def test_auto_takes_the_plainest_method_that_does() -> None:
    groups = [str(i) for i in range(4000)]
    assert isinstance(cross_fit("auto", *drawn(0.4, 0.0), groups).calibrator, Temperature)
    assert isinstance(cross_fit("auto", *drawn(0.4, -1.5), groups).calibrator, Platt)


def test_too_few_groups_are_named() -> None:
    with pytest.raises(InputError, match="2 different prompts cannot make 5 parts"):
        folds_of(["a", "b", "a"], 5)
