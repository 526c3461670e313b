"""What the protector guarantees, whatever comes in and whatever the back-ends do."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.policies import parse_policy
from mllm_protector.policy import Policy
from mllm_protector.protector import Protector
from mllm_protector.testing import FailingBackend, ScriptedDetector, ScriptedDetoxifier
from mllm_protector.types import Action, Detection, Exchange, Protection, Query, RewriteTask

# Words that the scripted detector knows, between arbitrary text (surrogates included).
WORDS = {"vile": 0.95, "rude": 0.6, "edgy": 0.4, "dosage": 0.05, "boom": 0.01}
CATEGORIES = {"vile": "S1", "rude": "S10", "dosage": "health-advice"}
texts = st.lists(
    st.sampled_from([*WORDS, "lamp", "\n", " ", "\ud800", "\u200b", "é"]) | st.text(max_size=5)
).map(" ".join)
thresholds = st.sampled_from([0.05, 0.3, 0.5, 0.61, 1.0])
actions = st.sampled_from(["allow", "flag", "disclaim", "detoxify", "refuse"])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    lines = [
        f"threshold: {draw(thresholds)}",
        f"action: {draw(actions)}",
        f"on_error: {draw(st.sampled_from(['refuse', 'allow']))}",
        f"max_attempts: {draw(st.integers(1, 4))}",
        "categories:",
        f"  S1: {{threshold: {draw(thresholds)}, action: {draw(actions)}}}",
        f"  health-advice: {{threshold: {draw(thresholds)}, action: {draw(actions)}}}",
        "texts: {refuse: REFUSED, unavailable: UNAVAILABLE, disclaim: Ask someone qualified.}",
    ]
    return parse_policy("\n".join(lines))


def rewriting(task: RewriteTask) -> str:
    """A rewriter of mixed quality: good, still harmful, empty, or raising, by the response's length."""
    kind = len(task.exchange.response) % 4
    if kind == 3:
        raise ValueError("broken rewriter")
    return ("A lamp.", "Still vile.", "   ")[kind]


def guard(policy: Policy) -> Protector:
    detector = FailingBackend("boom", ScriptedDetector(WORDS, CATEGORIES))
    return Protector(
        detector, policy, {"mixed": ScriptedDetoxifier(rewriting), "safe": ScriptedDetoxifier("A safe lamp.")}
    )


def run(policy: Policy, responses: Sequence[str]) -> list[Protection]:
    return guard(policy).protect([Exchange(Query("What?"), response) for response in responses])


@given(policies(), st.lists(texts, max_size=9))
def test_order_and_length_are_kept(policy: Policy, responses: list[str]) -> None:
    assert [p.exchange.response for p in run(policy, responses)] == responses


@given(policies(), st.lists(texts, max_size=9))
def test_what_is_not_acted_on_comes_back_identical(policy: Policy, responses: list[str]) -> None:
    for protection in run(policy, responses):
        if protection.action in (Action.ALLOW, Action.FLAG):
            assert protection.response is protection.exchange.response


@given(policies(), st.lists(texts, max_size=9))
def test_what_comes_back_rewritten_was_verified_or_is_the_refusal(
    policy: Policy, responses: list[str]
) -> None:
    detector = ScriptedDetector(WORDS, CATEGORIES)
    for protection in run(policy, responses):
        if protection.action is Action.REFUSE:
            assert protection.response in (policy.texts.refuse, policy.texts.unavailable)
        elif protection.action is Action.DETOXIFY:
            judged = detector.detect([Exchange(Query("What?"), protection.response)])[0]
            assert protection.recheck == judged
            assert policy.standard().met_by(judged)
            assert judged.harm < policy.threshold
        elif protection.action is Action.DISCLAIM:
            assert protection.response.startswith(protection.exchange.response)
            assert "Ask someone qualified." in protection.response
            assert protection.recheck is not None


@given(policies(), st.lists(texts, max_size=9))
def test_a_harmful_text_goes_out_only_if_the_policy_says_so(policy: Policy, responses: list[str]) -> None:
    for protection in run(policy, responses):
        if protection.unchanged and protection.detection is not None and protection.exchange.response.strip():
            ordered = policy.decide(protection.detection, protection.exchange).action
            assert ordered in (Action.ALLOW, Action.FLAG)


@given(policies(), st.lists(texts, max_size=9))
def test_a_failure_follows_on_error_for_that_exchange_only(policy: Policy, responses: list[str]) -> None:
    for protection, response in zip(run(policy, responses), responses, strict=True):
        if "boom" in response:
            assert protection.detection is None
            assert protection.error == "detector: RuntimeError: scripted failure"
            assert protection.action is policy.on_error
            expected = response if policy.on_error is Action.ALLOW else policy.texts.unavailable
            assert protection.response == expected
        else:
            assert protection.detection is not None


@given(policies(), st.lists(texts, max_size=9))
def test_a_batch_is_its_exchanges_one_by_one(policy: Policy, responses: list[str]) -> None:
    protector = guard(policy)
    exchanges = [Exchange(Query("What?"), response) for response in responses]
    assert protector.protect(exchanges) == [protector.protect([e])[0] for e in exchanges]


@given(policies(), st.lists(texts, max_size=9))
def test_every_attempt_is_told(policy: Policy, responses: list[str]) -> None:
    for protection in run(policy, responses):
        assert len(protection.attempts) <= max(policy.max_attempts, 1)
        accepted = [a for a in protection.attempts if a.accepted]
        assert len(accepted) == (protection.action in (Action.DISCLAIM, Action.DETOXIFY))
        for attempt in accepted:
            assert isinstance(attempt.detection, Detection)
            assert attempt.response == protection.response
        assert all(a.error for a in protection.attempts if not a.accepted)
