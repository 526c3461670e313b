"""The protector's path through each case, with scripted back-ends."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from mllm_protector.errors import BackendError
from mllm_protector.policies import parse_policy
from mllm_protector.protector import Protector
from mllm_protector.testing import (
    FailingBackend,
    ScriptedDetector,
    ScriptedDetoxifier,
    ScriptedImageReader,
)
from mllm_protector.types import Action, Detection, Exchange, Image, Query, RewriteTask

POLICY = parse_policy("texts: {refuse: No., unavailable: Not checked.}", name="test")


def exchanges(*responses: str) -> list[Exchange]:
    return [Exchange(Query("What is this?"), response) for response in responses]


def test_detect_rewrite_verify_deliver() -> None:
    protector = Protector(ScriptedDetector(), POLICY, {"safe": ScriptedDetoxifier("A safe answer.")})
    result = protector("What is this?", "A harmful answer.")
    assert result.action is Action.DETOXIFY
    assert result.response == "A safe answer."
    assert result.harm == 0.9
    assert result.recheck is not None
    assert result.recheck.harm == 0.01
    assert result.detoxifier == "safe"
    assert (result.policy, result.reason) == ("test", "harm 0.90 >= 0.50")


def test_the_next_detoxifier_is_tried_and_the_refusal_is_last() -> None:
    bad, worse = ScriptedDetoxifier("Still harmful."), ScriptedDetoxifier("")
    result = Protector(ScriptedDetector(), POLICY, {"bad": bad, "worse": worse})("?", "harmful")
    assert (result.action, result.ordered, result.response) == (Action.REFUSE, Action.DETOXIFY, "No.")
    assert [(a.detoxifier, a.error) for a in result.attempts] == [
        ("bad", "rejected: harm 0.90 >= 0.50"),
        ("worse", "wrote nothing"),
    ]
    good = ScriptedDetoxifier("Fine.")
    assert (
        Protector(ScriptedDetector(), POLICY, {"bad": bad, "good": good})("?", "harmful").response == "Fine."
    )


def test_max_attempts_bounds_the_rewrites() -> None:
    policy = parse_policy("max_attempts: 1\ntexts: {refuse: No.}")
    last = ScriptedDetoxifier("Fine.")
    result = Protector(ScriptedDetector(), policy, {"bad": ScriptedDetoxifier("harmful"), "good": last})(
        "?", "harmful"
    )
    assert result.response == "No."
    assert last.tasks == []


def test_a_broken_detoxifier_never_lets_the_harmful_response_out() -> None:
    policy = parse_policy("on_error: allow\ntexts: {refuse: No.}")
    result = Protector(ScriptedDetector(), policy, {"broken": FailingBackend()})("?", "harmful")
    assert result.response == "No."
    assert result.error == "broken: RuntimeError: scripted failure"


def test_one_failure_in_a_batch_is_isolated() -> None:
    detector = FailingBackend("bad", ScriptedDetector())
    batch = exchanges("one", "bad", "two", "harmful", "three")
    results = Protector(detector, POLICY, {"safe": ScriptedDetoxifier()}).protect(batch)
    assert [r.action.value for r in results] == ["allow", "refuse", "allow", "detoxify", "allow"]
    assert results[1].response == "Not checked."
    assert [r.error is None for r in results] == [True, False, True, True, True]


def test_a_rewrite_that_cannot_be_verified_is_not_delivered() -> None:
    detector = FailingBackend("rewritten", ScriptedDetector())
    result = Protector(detector, POLICY, {"x": ScriptedDetoxifier("rewritten")})("?", "harmful")
    assert result.response == "No."
    assert "not verified" in str(result.attempts[0].error)


class _Wrong:
    """A back-end that breaks its contract."""

    def __init__(self, results: object) -> None:
        self.results = results

    def detect(self, _: Sequence[Exchange], /) -> list[Detection]:
        return self.results  # type: ignore[return-value]

    def detoxify(self, _: Sequence[RewriteTask], /) -> list[str]:
        return self.results  # type: ignore[return-value]


@pytest.mark.parametrize("results", [[], None, [None], [0.5], "x", [Detection(0.1)] * 3])
def test_a_detector_that_breaks_its_contract_fails_closed(results: object) -> None:
    result = Protector(_Wrong(results), POLICY)("?", "fine")
    assert result.action is Action.REFUSE
    assert "BackendError: returned" in str(result.error)


@pytest.mark.parametrize("results", [[], None, [None], [b"x"], ["a", "b"]])
def test_a_detoxifier_that_breaks_its_contract_is_passed_over(results: object) -> None:
    protector = Protector(
        ScriptedDetector(), POLICY, {"wrong": _Wrong(results), "safe": ScriptedDetoxifier("Ok.")}
    )
    assert protector("?", "harmful").response == "Ok."


def test_a_disclaimer_keeps_the_answer_and_is_verified() -> None:
    policy = parse_policy("categories: {health-advice: {threshold: 0.4, action: disclaim}}")
    detector = ScriptedDetector({"tablet": 0.45}, {"tablet": "health-advice"})
    answer = "Take one tablet.\n\n* after *meals*"
    result = Protector(detector, policy)("How many?", answer)
    assert result.action is Action.DISCLAIM
    assert result.response.startswith(answer)
    assert len(result.response) > len(answer) + 20
    assert (result.detoxifier, result.hazards) == ("disclaimer", ("health-advice",))


def test_a_disclaimer_that_does_not_pass_gives_way_to_a_rewrite() -> None:
    policy = parse_policy(
        "categories: {health-advice: {threshold: 0.4, action: disclaim}}\ntexts: {disclaim: This is harmful.}"
    )
    detector = ScriptedDetector({"tablet": 0.45, "harmful": 0.9}, {"tablet": "health-advice"})
    result = Protector(detector, policy, {"safe": ScriptedDetoxifier("Ask a doctor.")})(
        "How many?", "One tablet."
    )
    assert (result.action, result.response) == (Action.DETOXIFY, "Ask a doctor.")


def test_a_deny_pattern_also_holds_for_rewrites() -> None:
    policy = parse_policy("deny: [{pattern: falcon}]\ntexts: {refuse: No.}")
    result = Protector(ScriptedDetector(), policy, {"x": ScriptedDetoxifier("about falcon")})("?", "harmful")
    assert result.response == "No."


@pytest.mark.parametrize("response", ["", " ", "\n\t\u3000"])
def test_an_empty_response_has_nothing_to_judge(response: str) -> None:
    detector = ScriptedDetector(otherwise=0.9)
    result = Protector(detector, POLICY)("?", response)
    assert (result.action, result.response, result.harm) == (Action.ALLOW, response, 0.0)
    assert detector.calls == []


def test_images_are_read_before_judging() -> None:
    detector = ScriptedDetector({"lock": 0.8}, read_images=True)
    protector = Protector(
        detector, POLICY, {"safe": ScriptedDetoxifier()}, image_reader=ScriptedImageReader()
    )
    image = Image(b"steps to open a lock", "image/png")
    assert protector("Fill in the list.", "1. First", [image]).ordered is Action.DETOXIFY
    assert protector("Fill in the list.", "1. First", [image], image_text="a lamp").ordered is Action.ALLOW
    assert protector("Fill in the list.", "1. First").ordered is Action.ALLOW


def test_an_image_that_cannot_be_read_follows_on_error() -> None:
    protector = Protector(ScriptedDetector(), POLICY, image_reader=FailingBackend("broken"))
    image = Image(b"broken", "image/png")
    results = protector.protect([Exchange(Query("?", (image,)), "fine"), Exchange(Query("?"), "fine")])
    assert [r.action for r in results] == [Action.REFUSE, Action.ALLOW]
    assert results[0].error == "images[0] was not read: RuntimeError: scripted failure"


def test_detect_raises_what_protect_records() -> None:
    protector = Protector(FailingBackend("bad", ScriptedDetector()), POLICY)
    with pytest.raises(BackendError, match="scripted failure"):
        protector.detect(exchanges("fine", "bad"))
    assert [d.harm for d in protector.detect(exchanges("fine", "harmful"))] == [0.01, 0.9]


def test_rewrites_are_batched() -> None:
    detector = ScriptedDetector()
    Protector(detector, POLICY, {"safe": ScriptedDetoxifier()}).protect(exchanges(*["harmful", "fine"] * 8))
    assert detector.calls == [16, 8]


def test_threads_share_a_protector() -> None:
    protector = Protector(ScriptedDetector(), POLICY, {"safe": ScriptedDetoxifier("Ok.")})
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: protector("?", "harmful" if i % 2 else f"fine {i}"), range(200)))
    assert [r.response for r in results] == ["Ok." if i % 2 else f"fine {i}" for i in range(200)]


def test_nothing_in_nothing_out() -> None:
    assert Protector(ScriptedDetector(), POLICY).protect([]) == []
    assert Protector(ScriptedDetector(), POLICY).detect([]) == []
