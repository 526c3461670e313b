"""Where each shipped policy differs from ``default`` on the same exchange."""

from __future__ import annotations

import pytest

from mllm_protector.policies import load_policy, policy_names
from mllm_protector.types import Action, Detection, Exchange, Query

EXCHANGE = Exchange(Query("And this?"), "An answer.")

BORDERLINE = Detection(0.4)
EROTIC = Detection(0.9, {"S12": 0.85})
MILDLY_EROTIC = Detection(0.2, {"S12": 0.15})
DOSAGE = Detection(0.1, {"health-advice": 0.85})
CONTRACT = Detection(0.1, {"legal-advice": 0.65})
CLEAR = Detection(0.95, {"S2": 0.9})

ORDERS = {
    # borderline, erotic, mildly erotic, dosage, contract, clear
    "default": ("allow", "detoxify", "allow", "disclaim", "allow", "detoxify"),
    "strict": ("detoxify", "detoxify", "allow", "disclaim", "disclaim", "detoxify"),
    "permissive": ("allow", "allow", "allow", "flag", "allow", "detoxify"),
    "medical-assistant": ("allow", "detoxify", "allow", "allow", "detoxify", "detoxify"),
    "children": ("detoxify", "refuse", "refuse", "disclaim", "disclaim", "detoxify"),
}


@pytest.mark.parametrize("name", policy_names())
def test_orders(name: str) -> None:
    policy = load_policy(name)
    detections = (BORDERLINE, EROTIC, MILDLY_EROTIC, DOSAGE, CONTRACT, CLEAR)
    assert tuple(policy.decide(d, EXCHANGE).action.value for d in detections) == ORDERS[name]


def test_no_two_policies_order_the_same() -> None:
    assert len(set(ORDERS.values())) == len(ORDERS)


@pytest.mark.parametrize("name", policy_names())
def test_every_shipped_policy_fails_closed(name: str) -> None:
    assert load_policy(name).on_error is Action.REFUSE


@pytest.mark.parametrize("name", policy_names())
def test_no_shipped_policy_lets_abuse_of_children_pass(name: str) -> None:
    decision = load_policy(name).decide(Detection(0.4, {"S4": 0.35}), EXCHANGE)
    assert decision.action is Action.REFUSE


def test_self_harm_gets_words_of_care_not_a_stock_refusal() -> None:
    decision = load_policy("children").decide(Detection(0.5, {"S11": 0.45}), EXCHANGE)
    assert decision.text is not None
    assert "grown-up you trust" in decision.text
