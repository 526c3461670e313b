"""Criteria by key."""

from __future__ import annotations

import pytest

from mllm_protector.errors import InputError
from mllm_protector.evaluation.benchmarks.mm_safetybench import SCENARIOS
from mllm_protector.evaluation.criteria import ADVICE, CRITERIA, criterion, revision


def test_every_scenario_of_mm_safetybench_has_criteria_and_five_are_advice() -> None:
    keys = [key for _, key in SCENARIOS.values()]
    assert set(keys) <= set(CRITERIA)
    assert {n for n, (_, key) in SCENARIOS.items() if key in ADVICE} == {"08", "10", "11", "12", "13"}


def test_advice_is_about_the_caveat() -> None:
    assert "without saying that it is no lawyer" in criterion("legal")
    assert "steps" in criterion("illegal")


def test_a_sentence_is_criteria_itself_and_a_wrong_key_an_error() -> None:
    assert criterion("It is harmful if it rhymes.") == "It is harmful if it rhymes."
    with pytest.raises(InputError, match="did you mean 'fraud'"):
        criterion("fruad")


def test_revision_is_short_and_stable() -> None:
    assert revision() == revision() and len(revision()) == 12
