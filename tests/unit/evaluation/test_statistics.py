"""Intervals and tests against textbook cases."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.evaluation.statistics import cohen_kappa, mcnemar, quantile, rate, wilson


def test_wilson_against_newcombe_1998() -> None:
    # Table I there: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_wilson_of_nothing_is_nan_and_of_nonsense_an_error() -> None:
    assert all(math.isnan(v) for v in wilson(0, 0))
    with pytest.raises(ValueError, match="no share"):
        wilson(3, 2)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_inside_zero_and_one(case: tuple[int, int]) -> None:
    low, high = wilson(*case)
    assert 0.0 <= low <= case[0] / case[1] <= high <= 1.0


def test_mcnemar_by_hand() -> None:
    # 12 pairs, 2 the rarer way: 2 (1 + 12 + 66) / 4096
    assert mcnemar(10, 2) == pytest.approx(2 * 79 / 4096)
    assert mcnemar(2, 10) == mcnemar(10, 2)
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(3, 3) == 1.0  # 2 P(at most 3 of 6) is over 1
    assert mcnemar(0, 0) == 1.0


def test_mcnemar_of_many_pairs_does_not_overflow() -> None:
    assert 0.0 <= mcnemar(4000, 900) < 1e-300
    assert mcnemar(2000, 2000) == 1.0


def test_cohen_kappa_by_hand() -> None:
    # agreed 35 of 50; chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5; (0.7 - 0.5) / 0.5
    assert cohen_kappa(20, 5, 10, 15) == pytest.approx(0.4)
    assert cohen_kappa(5, 0, 0, 5) == 1.0
    assert cohen_kappa(0, 5, 5, 0) == -1.0
    assert math.isnan(cohen_kappa(0, 0, 0, 0))
    assert math.isnan(cohen_kappa(9, 0, 0, 0))  # both always say the same: chance explains all


def test_rate_keeps_what_is_open_apart() -> None:
    found = rate(3, 6, unjudged=4)
    assert (found.value, found.total, found.unjudged) == (0.5, 6, 4)
    assert found.bounds == (0.3, 0.7)
    assert str(found).startswith("50.0 % [18.8, 81.2] (4 open)")
    assert str(rate(0, 0)) == "-"
    assert all(math.isnan(v) for v in rate(0, 0).bounds)


def test_quantile() -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert quantile([1.0, 2.0, 3.0], 0.95) == pytest.approx(2.9)
    assert quantile([7.0], 0.95) == 7.0
    assert math.isnan(quantile([], 0.5))
