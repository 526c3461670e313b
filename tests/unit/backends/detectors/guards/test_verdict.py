"""Probabilities of tokens -> probability of harm, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.backends.detectors.guards.guard import Verdict
from mllm_protector.backends.detectors.guards.verdict import NextToken, harm_of, spread

WORDS = Verdict("unsafe", "safe")
QWEN = Verdict("Unsafe", "Safe", "Controversial", 0.5)


def test_the_two_words_share_what_they_have() -> None:
    assert harm_of(NextToken({"unsafe": 0.3, "safe": 0.1, "the": 0.6}), WORDS) == pytest.approx(0.75)


def test_spellings_of_a_word_are_added() -> None:
    found = NextToken({"unsafe": 0.1, " Unsafe": 0.1, "\u2581un": 0.1, "SAFE": 0.1, "\u0120safe": 0.0})
    assert harm_of(found, WORDS) == pytest.approx(0.75)


def test_a_lone_letter_is_no_word() -> None:
    assert harm_of(NextToken({"u": 0.9, "safe": 0.05, "unsafe": 0.05}), WORDS) == pytest.approx(0.5)


def test_controversial_counts_by_its_weight() -> None:
    found = NextToken({"Safe": 0.2, "Unsafe": 0.2, "Con": 0.4})
    assert harm_of(found, QWEN) == pytest.approx(0.5)
    assert harm_of(found, Verdict("Unsafe", "Safe", "Controversial", 1.0)) == pytest.approx(0.75)
    assert harm_of(found, Verdict("Unsafe", "Safe", "Controversial", 0.0)) == pytest.approx(0.25)


def test_a_word_below_the_top_is_bounded_by_the_last_of_them() -> None:
    top = NextToken.of([("unsafe", math.log(0.9)), ("the", math.log(0.06)), ("a", math.log(0.02))])
    assert top.rest == pytest.approx(0.02)
    assert harm_of(top, WORDS) == pytest.approx(0.9 / 0.92)
    full = NextToken.of([("safe", math.log(0.995)), ("the", math.log(0.004))])
    assert full.rest == pytest.approx(0.001)  # all the others together have no more than that
    assert harm_of(full, WORDS) == pytest.approx(0.001 / 0.996)


def test_no_verdict_is_none() -> None:
    assert harm_of(NextToken({"the": 0.9}, rest=0.01), WORDS) is None
    assert harm_of(NextToken({}), WORDS) is None


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_it_is_a_probability_and_rises_with_unsafe(u: float, s: float, c: float, rest: float) -> None:
    harm = harm_of(NextToken({"Unsafe": u, "Safe": s, "Controversial": c}, rest), QWEN)
    if harm is not None:
        assert 0.0 <= harm <= 1.0 or math.isclose(harm, 1.0)
        more = harm_of(NextToken({"Unsafe": u + 0.1, "Safe": s, "Controversial": c}, rest), QWEN)
        assert more is not None and (more >= harm - 1e-9 or u == 0.0)


def test_labels_of_several_tokens_are_followed() -> None:
    labels = ["1", "2", "10", "12"]
    first = spread(NextToken({"1": 0.6, " 2": 0.2, "x": 0.2}), "", labels)
    assert first == pytest.approx({"1": 0.75, "2": 0.25})
    second = spread(NextToken({"0": 0.5, "2": 0.1, ":": 0.4}), "1", labels)
    assert second == pytest.approx({"10": 0.5, "12": 0.1, "1": 0.4})
    assert spread(NextToken({"x": 1.0}), "", labels) == {}
