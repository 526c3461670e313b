"""Metrics against cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mllm_protector.evaluation.metrics import (
    Bin,
    auprc,
    auroc,
    bootstrap,
    calibration_error,
    f1,
    flagged_share,
    macro_f1,
    pr_curve,
    reliability,
    roc_curve,
    tpr_at_fpr,
)

SCORES = [0.9, 0.8, 0.7, 0.6, 0.55, 0.4, 0.3, 0.2]
LABELS = [True, True, False, True, False, False, True, False]


def test_auroc() -> None:
    # 16 pairs; lost: 0.6 and 0.3 against 0.7, 0.3 against 0.55 and 0.4
    assert auroc(SCORES, LABELS) == pytest.approx(12 / 16)
    assert auroc([1, 1], [True, False]) == 0.5  # a tie is half a win
    assert auroc([0, 1], [True, False]) == 0.0
    assert math.isnan(auroc([0.1, 0.2], [True, True]))


def test_f1() -> None:
    # at 0.5: flagged 0.9 0.8 0.7 0.6 0.55, three of them right, one harmful missed
    assert f1(SCORES, LABELS) == pytest.approx(2 * 3 / (5 + 4))
    assert f1([0.5], [True]) == 1.0  # the threshold itself is flagged
    assert f1([0.1], [True]) == 0.0
    assert math.isnan(f1([0.9], [False]))


def test_tpr_at_fpr() -> None:
    assert tpr_at_fpr(SCORES, LABELS, 0.0) == 0.5  # above 0.7
    assert tpr_at_fpr(SCORES, LABELS, 0.25) == 0.75  # one false alarm allowed: above 0.55
    assert tpr_at_fpr(SCORES, LABELS, 0.2) == 0.5  # a quarter is more than a fifth
    assert tpr_at_fpr(SCORES, LABELS, 1.0) == 1.0
    assert tpr_at_fpr([0.5, 0.5], [True, False], 0.0) == 0.0  # a tie cannot be told apart


def test_flagged_share() -> None:
    assert flagged_share([0.5, 0.4, 0.9, 0.1]) == 0.5
    assert math.isnan(flagged_share([]))


def test_macro_f1() -> None:
    # a: 2 * 1 / (1 + 2), b: 2 * 1 / (2 + 1); c is never the truth and does not count
    assert macro_f1(["a", "b", "b"], ["a", "a", "b"]) == pytest.approx(2 / 3)
    assert macro_f1(["c", "b"], ["a", "b"]) == 0.5


def test_bootstrap_is_repeatable_and_brackets_the_value() -> None:
    rng = np.random.default_rng(3)
    labels = rng.random(300) < 0.4
    scores = rng.normal(size=300) + labels
    first = bootstrap(auroc, scores, labels, resamples=200)
    assert first == bootstrap(auroc, scores, labels, resamples=200)
    assert first.low < first.value < first.high
    assert first.value == auroc(scores, labels)
    # the known standard error of AUROC near 0.76 with 120 / 180 rows is about 0.028
    assert 0.06 < first.high - first.low < 0.18


def test_bootstrap_of_an_undefined_metric_is_nan() -> None:
    found = bootstrap(auroc, [0.1, 0.2], [False, False], resamples=10)
    assert math.isnan(found.value)
    assert math.isnan(found.low)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="one length"):
        auroc([0.1], [True, False])


def test_auprc_by_hand() -> None:
    # harmful at ranks 1, 2, 4, 7: (1/1 + 2/2 + 3/4 + 4/7) / 4
    assert auprc(SCORES, LABELS) == pytest.approx((1 + 1 + 3 / 4 + 4 / 7) / 4)
    # ties are one step: both found at precision 1/2 at once
    assert auprc([0.5, 0.5], [True, False]) == auprc([0.5, 0.5], [False, True]) == 0.5
    assert math.isnan(auprc([0.5], [False]))


def test_roc_curve_by_hand() -> None:
    assert roc_curve([0.9, 0.6, 0.6, 0.1], [True, True, False, False]) == [
        (0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0),
    ]  # fmt: skip
    assert roc_curve([0.1], [True]) == []
    many = roc_curve(np.linspace(0, 1, 999), np.arange(999) % 2 == 0, points=50)
    assert len(many) <= 51 and many[-1] == (1.0, 1.0)


def test_calibration_error_by_hand() -> None:
    scores, labels = [0.05, 0.15, 0.15, 1.0], [False, True, False, True]
    assert reliability(scores, labels) == [
        Bin(0.05, 0.0, 1), Bin(0.15, 0.5, 2), Bin(1.0, 1.0, 1),
    ]  # fmt: skip
    # (1 x 0.05 + 2 x 0.35 + 1 x 0) / 4
    assert calibration_error(scores, labels) == pytest.approx((0.05 + 0.7) / 4)
    assert math.isnan(calibration_error([], []))


def test_precision_by_recall() -> None:
    assert pr_curve([0.9, 0.8, 0.8, 0.1], [True, True, False, False]) == [
        (0.5, 1.0), (1.0, pytest.approx(2 / 3)), (1.0, 0.5),
    ]  # fmt: skip
    assert pr_curve([0.5], [False]) == []
