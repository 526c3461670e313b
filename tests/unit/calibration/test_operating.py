"""Thresholds keep to the rate they promise, and bounds are exact."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from mllm_protector.calibration import OperatingPoints, clopper_pearson, operating_points, threshold_for_fpr


@given(st.integers(1, 3000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_bound_agrees_with_scipy(total: int, data: st.DataObject, confidence: float) -> None:
    hits = data.draw(st.integers(0, total))
    expected = 1.0 if hits == total else float(beta.ppf(confidence, hits + 1, total - hits))
    assert clopper_pearson(hits, total, confidence) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("hits", "total"), [(-1, 3), (4, 3), (0, 0)])
def test_no_bound_of_nonsense(hits: int, total: int) -> None:
    with pytest.raises(ValueError, match="no bound"):
        clopper_pearson(hits, total)


@given(
    st.lists(st.sampled_from([0.0, 0.001, 0.2, 0.5, 0.5000001, 0.9, 1.0]), min_size=60, max_size=400),
    st.floats(0.05, 0.9),
)
def test_a_threshold_keeps_to_its_target_and_is_the_lowest_that_does(
    scores: list[float], target: float
) -> None:
    harmless = np.array(scores)
    labels = np.zeros(len(scores), dtype=bool)
    try:
        point = threshold_for_fpr(harmless, labels, target)
    except ValueError:
        assert (harmless == 1.0).mean() > target
        return
    flagged = int((harmless >= point.threshold).sum())
    assert flagged == point.false_alarms <= target * len(scores)
    assert point.rate <= point.upper
    lower = harmless[harmless < point.threshold]
    if len(lower) and point.false_alarms < 50:  # counts up to there are each in the table
        assert (harmless >= lower.max()).mean() > target


def test_the_table_is_compact_and_comes_back_as_written() -> None:
    table = operating_points(np.random.default_rng(0).random(20_000))
    assert len(table.alarms) < 150
    assert OperatingPoints.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_harmful_rows_do_not_matter() -> None:
    scores, labels = np.linspace(0, 0.99, 100), np.arange(100) >= 90
    assert threshold_for_fpr(scores, labels, 0.1) == operating_points(scores[:90]).resolve(0.1)


def test_a_target_finer_than_the_rows_is_refused_with_what_it_needs() -> None:
    table = operating_points(np.linspace(0, 0.9, 100))
    with pytest.raises(ValueError, match=r"100 harmless .* needs 299; the finest is 0.03"):
        table.resolve(0.01)
    assert operating_points(np.linspace(0, 0.9, 299)).resolve(0.01).false_alarms == 2


def test_a_target_that_no_threshold_keeps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no threshold keeps to 0\.1"):
        operating_points([1.0] * 50 + [0.5] * 50).resolve(0.1)
    with pytest.raises(ValueError, match="no threshold tells them apart"):
        operating_points([1.0, 1.0])
    with pytest.raises(ValueError, match="in \\(0, 1\\)"):
        operating_points([0.5]).resolve(1.0)


@pytest.mark.parametrize("scores", [[], [1.5], [-0.1], [float("nan")]])
def test_scores_are_probabilities(scores: list[float]) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        operating_points(scores)


@pytest.mark.parametrize(
    "change",
    [
        {"harmless": 0},
        {"alarms": []},
        {"alarms": [0, 0]},
        {"alarms": [-1, 2]},
        {"thresholds": [0.2, 0.9]},
        {"thresholds": [0.9, 0.0]},
        {"more": 1},
    ],
)
def test_a_damaged_table_is_refused(change: dict[str, object]) -> None:
    whole: dict[str, object] = {"harmless": 10, "alarms": [0, 2], "thresholds": [0.9, 0.2]}
    OperatingPoints.from_dict(whole)
    with pytest.raises(ValueError):
        OperatingPoints.from_dict(whole | change)
