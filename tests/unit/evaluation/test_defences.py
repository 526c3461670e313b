"""What each defence delivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from mllm_protector.errors import ConfigError
from mllm_protector.evaluation.defences import (
    DEFENCES,
    REFUSAL,
    SAFETY_PROMPT,
    DetectorRefusal,
    SafetyPrompt,
    SelfCheck,
    defence,
    refuse_only,
)
from mllm_protector.evaluation.memory import AnswerStore, RememberingModel
from mllm_protector.policies import load_policy
from mllm_protector.protector import Protector
from mllm_protector.testing import FailingBackend, ScriptedDetector, ScriptedDetoxifier
from mllm_protector.types import Action, Exchange, Image, Query

PICTURE = Image(b"x", "image/png")
HARMFUL = Exchange(Query("p", (PICTURE,)), "This is harmful.")
FINE = Exchange(Query("p"), "Fine.")


class Model:
    """Answers by a function of the query."""

    def __init__(self, answer: Callable[[Query], str]) -> None:
        self.answer = answer
        self.queries: list[Query] = []

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        self.queries.extend(queries)
        return [self.answer(q) for q in queries]


def remembering(answer: Callable[[Query], str]) -> tuple[Model, RememberingModel]:
    model = Model(answer)
    return model, RememberingModel(model, "m", AnswerStore(None), workers=1)


def guard() -> Protector:
    detector = ScriptedDetector(categories={"harmful": "S2"})
    return Protector(detector, load_policy("default"), {"scripted": ScriptedDetoxifier("A safe text.")})


def test_output_side_defences_need_no_model() -> None:
    delivered = {
        name: defence(name, guard(), "g", None).defend([HARMFUL, FINE])
        for name in ("protector", "refuse-only", "detector-refusal")
    }
    assert [d.response for d in delivered["protector"]] == ["A safe text.", "Fine."]
    assert delivered["protector"][0].action == "detoxify" and delivered["protector"][0].harm == 0.9
    assert delivered["refuse-only"][0].response == load_policy("default").texts.refuse
    assert [d.response for d in delivered["detector-refusal"]] == [REFUSAL, "Fine."]
    assert all(d[1].harm == 0.01 for d in delivered.values())


def test_refuse_only_leaves_no_milder_action() -> None:
    policy = refuse_only(load_policy("default"))
    assert policy.action is Action.REFUSE
    actions = {rule.action for rule in policy.categories.values()}
    assert not actions & {Action.DISCLAIM, Action.DETOXIFY}


def test_a_detector_that_fails_refuses() -> None:
    (delivered,) = DetectorRefusal(FailingBackend(), "d").defend([FINE])
    assert delivered.response == REFUSAL and "scripted failure" in delivered.error


def test_the_guard_tells_its_failures() -> None:
    broken = Protector(FailingBackend(), load_policy("default"))
    (delivered,) = defence("protector", broken, "g", None).defend([FINE])
    assert delivered.action == "refuse" and delivered.error and delivered.harm is None


def test_safety_prompt_asks_again_with_a_system_turn() -> None:
    model, asked = remembering(lambda q: "no" if q.history else "yes")
    (delivered,) = SafetyPrompt(asked).defend([HARMFUL])
    assert (delivered.response, delivered.calls) == ("no", 1)
    assert model.queries[0].history[0].content == SAFETY_PROMPT and model.queries[0].images == (PICTURE,)


def script(query: Query) -> str:
    if "one word, yes or no" in query.prompt:
        return "Yes." if "harmful." in query.prompt else "No, it is not."
    return "a caption" if "Describe what in the image" in query.prompt else f"blind: {query.prompt}"


def test_self_check_retries_blind_what_the_model_calls_harmful() -> None:
    model, asked = remembering(script)
    harmful, fine = SelfCheck(asked).defend([HARMFUL, FINE])
    assert harmful.response == "blind: p\n\nThe image shows: a caption"
    assert (harmful.calls, harmful.action) == (3, "answered blind")
    assert (fine.response, fine.calls, fine.action) == ("Fine.", 1, "allow")
    assert model.queries[-1].images == ()


def test_self_check_of_a_text_needs_no_caption() -> None:
    _, asked = remembering(script)
    (delivered,) = SelfCheck(asked).defend([Exchange(Query("p"), "This is harmful.")])
    assert (delivered.response, delivered.calls) == ("blind: p", 2)


def test_self_check_that_says_neither_counts_as_yes() -> None:
    _, asked = remembering(lambda q: "Hard to say." if "one word" in q.prompt else "other")
    assert SelfCheck(asked).defend([FINE])[0].response == "other"


def test_a_model_that_fails_delivers_nothing_and_says_so() -> None:
    def fail(query: Query) -> str:
        raise RuntimeError("down")

    _, asked = remembering(fail)
    for built in (SafetyPrompt(asked), SelfCheck(asked)):
        (delivered,) = built.defend([FINE])
        assert delivered.response is None and "down" in delivered.error


def test_names() -> None:
    with pytest.raises(ConfigError, match="did you mean 'protector'"):
        defence("protectr", guard(), "g", None)
    for name in ("system-prompt", "self-check"):
        assert name in DEFENCES
        with pytest.raises(ConfigError, match="give --model"):
            defence(name, guard(), "g", None)
