"""The values refuse what they cannot mean."""

from __future__ import annotations

import math
import pickle

import pytest

from mllm_protector.types import Action, Detection, Span, Standard


@pytest.mark.parametrize("harm", [-0.01, 1.01, math.nan, math.inf])
def test_harm_is_a_probability(harm: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        Detection(harm)
    with pytest.raises(ValueError, match="probability"):
        Detection(0.5, {"S1": harm})
    with pytest.raises(ValueError, match="probability"):
        Span(0, 1, harm)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 2)])
def test_a_span_is_a_range(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="range"):
        Span(start, end, 0.5)


def test_a_detection_keeps_its_own_copy_and_travels() -> None:
    categories = {"S1": 0.4}
    detection = Detection(0.5, categories)
    categories["S1"] = 0.9
    assert detection.categories == {"S1": 0.4}
    assert pickle.loads(pickle.dumps(detection)) == detection


def test_actions_are_ordered_by_severity() -> None:
    assert [a.severity for a in Action] == [0, 1, 2, 3, 4]
    assert [a.delivers_original for a in Action] == [True, True, False, False, False]


def test_a_standard_is_strict() -> None:
    assert not Standard(0.5).met_by(Detection(0.5))
    assert Standard(0.5).met_by(Detection(0.49))
