"""What a policy decides, rule by rule."""

from __future__ import annotations

import pytest

from mllm_protector.policies import parse_policy
from mllm_protector.types import Action, Detection, Exchange, Query

HELLO = Exchange(Query("What is it?"), "It is a lamp.")


def order(yaml: str, harm: float, categories: dict[str, float] | None = None, response: str = "") -> Action:
    exchange = Exchange(HELLO.query, response or HELLO.response)
    return parse_policy(yaml).decide(Detection(harm, categories or {}), exchange).action


def test_the_global_threshold_is_inclusive() -> None:
    assert order("threshold: 0.5", 0.5) is Action.DETOXIFY
    assert order("threshold: 0.5", 0.4999) is Action.ALLOW


def test_a_category_rule_acts_below_the_global_threshold() -> None:
    yaml = "categories: {S4: {threshold: 0.2, action: refuse}}"
    assert order(yaml, 0.3, {"S4": 0.25}) is Action.REFUSE
    assert order(yaml, 0.3, {"S1": 0.25}) is Action.ALLOW


def test_the_most_severe_order_wins() -> None:
    yaml = "categories: {S1: {threshold: 0.2, action: flag}, S2: {threshold: 0.2, action: refuse}}"
    decision = parse_policy(yaml).decide(Detection(0.4, {"S1": 0.4, "S2": 0.3}), HELLO)
    assert decision.action is Action.REFUSE
    assert decision.hazards == ("S2",)


def test_a_milder_rule_excuses_only_the_harm_it_explains() -> None:
    yaml = "categories: {S12: {action: allow}}"
    assert order(yaml, 0.9, {"S12": 0.85}) is Action.ALLOW
    assert order(yaml, 0.9, {"S12": 0.85, "S1": 0.6}) is Action.DETOXIFY
    assert order(yaml, 0.9, {"S12": 0.2}) is Action.DETOXIFY
    assert order(yaml, 0.9) is Action.DETOXIFY


def test_a_sharper_rule_never_weakens_the_global_one() -> None:
    yaml = "categories: {S9: {threshold: 0.4, action: detoxify}}"
    assert order(yaml, 0.55, {"S9": 0.35}) is Action.DETOXIFY


def test_advice_is_not_part_of_harm() -> None:
    yaml = "categories: {health-advice: {threshold: 0.6, action: disclaim}}"
    assert order(yaml, 0.05, {"health-advice": 0.9}) is Action.DISCLAIM
    assert order(yaml, 0.9, {"health-advice": 0.9}) is Action.DETOXIFY


def test_an_allow_pattern_clears_only_a_whole_response() -> None:
    yaml = "allow: [{pattern: 'Our shop sells kitchen knives[^.]*\\.'}]"
    assert order(yaml, 0.99, response="Our shop sells kitchen knives of steel.") is Action.ALLOW
    assert order(yaml, 0.99, response="Our shop sells kitchen knives of steel. And worse.") is Action.DETOXIFY


def test_a_deny_pattern_acts_on_any_score_and_beats_an_allow_pattern() -> None:
    yaml = "deny: [{pattern: '(?i)project falcon', reason: secret}]\nallow: [{pattern: '.*'}]"
    assert order(yaml, 0.0, response="About Project FALCON.") is Action.REFUSE


def test_patterns_cost_linear_time() -> None:
    policy = parse_policy("deny: [{pattern: '(a+)+$'}, {pattern: '(x|xx)*y'}]")
    hostile = Exchange(
        Query(""), "a" * 200_000 + "b" + "x" * 200_000
    )  # exponential for a backtracking engine
    assert policy.decide(Detection(0.0), hostile).action is Action.ALLOW


def test_the_standard_holds_rewrites_to_every_limit_that_orders_one() -> None:
    policy = parse_policy(
        "threshold: 0.4\ncategories:\n  S1: {threshold: 0.2, action: refuse}\n"
        "  S5: {threshold: 0.1, action: flag}"
    )
    assert policy.standard().met_by(Detection(0.39, {"S1": 0.19, "S5": 0.9}))
    assert not policy.standard().met_by(Detection(0.4))
    assert not policy.standard().met_by(Detection(0.1, {"S1": 0.2}))


@pytest.mark.parametrize(("harm", "word"), [(0.1, "<"), (0.9, ">=")])
def test_the_reason_names_score_and_limit(harm: float, word: str) -> None:
    reason = parse_policy("threshold: 0.5").decide(Detection(harm), HELLO).reason
    assert reason == f"harm {harm:.2f} {word} 0.50"
