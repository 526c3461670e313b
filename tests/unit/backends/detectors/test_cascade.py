"""Cascade and ensemble: who is asked, whose word counts, what happens when one fails."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from mllm_protector.assembly import build
from mllm_protector.config import BackendConfig, Config
from mllm_protector.errors import BackendError, ConfigError
from mllm_protector.registry import fingerprint, make
from mllm_protector.types import Detection, Exchange, Query, Span

FIRST = {
    "name": "mllm_protector.testing:ScriptedDetector",
    "options": {"words": {"clear": 0.95, "doubt": 0.5}},
}
SECOND = {"name": "mllm_protector.testing:ScriptedDetector", "options": {"words": {"bad": 0.9}}}
BROKEN = {"name": "mllm_protector.testing:FailingBackend"}


def exchange(response: str) -> Exchange:
    return Exchange(Query("q"), response)


class Telling:
    """Tells categories and spans, as the embedded detector does."""

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        return [Detection(0.5, {"S2": 0.4, "legal-advice": 0.7}, (Span(0, 1, 0.5),)) for _ in exchanges]


class Naming:
    """Tells a category of its own."""

    def __init__(self, harm: float = 0.8) -> None:
        self.harm = harm

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        return [Detection(self.harm, {"S1": self.harm}) for _ in exchanges]


class Short:
    """Breaks the contract."""

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        return [Detection(0.5) for _ in exchanges[1:]]


def here(name: str, **options: Any) -> dict[str, Any]:
    return {"name": f"{__name__}:{name}", "options": options}


def cascade(**options: Any) -> Any:
    return make(
        "detectors", "cascade", {"first": FIRST, "second": SECOND, "low": 0.3, "high": 0.7, **options}
    )


def test_only_doubt_is_passed_on() -> None:
    detector = cascade()
    found = detector.detect(
        [exchange("clear bad"), exchange("doubt bad"), exchange("bad"), exchange("doubt")]
    )
    assert [one.harm for one in found] == [0.95, 0.9, 0.01, 0.01]
    assert detector._second.detector.calls == [2]


def test_nothing_is_asked_where_nothing_is_in_doubt() -> None:
    detector = cascade()
    detector.detect([exchange("clear")])
    assert detector._second.detector.calls == []


def test_what_the_second_does_not_tell_is_the_firsts() -> None:
    (found,) = cascade(first=here("Telling")).detect([exchange("bad")])
    assert found.harm == 0.9 and found.categories == {"S2": 0.4, "legal-advice": 0.7}
    assert found.spans == (Span(0, 3, 0.9),)  # the second tells its own
    (cleared,) = cascade(first=here("Telling")).detect([exchange("good")])
    assert cleared.harm == 0.01 and cleared.spans == (Span(0, 1, 0.5),)
    assert cleared.categories == pytest.approx({"S2": 0.4 * 0.01 / 0.5, "legal-advice": 0.7})


def test_the_seconds_categories_stand_and_advice_is_kept() -> None:
    (found,) = cascade(first=here("Telling"), second=here("Naming")).detect([exchange("x")])
    assert found.categories == {"S1": 0.8, "legal-advice": 0.7}


def test_a_second_that_fails() -> None:
    with pytest.raises(BackendError, match="second detector failed"):
        cascade(second=BROKEN).detect([exchange("doubt")])
    fallen = cascade(second=BROKEN, fallback="first").detect([exchange("doubt"), exchange("clear")])
    assert [one.harm for one in fallen] == [0.5, 0.95]
    with pytest.raises(BackendError, match="gave 0 for 1"):
        cascade(second=here("Short")).detect([exchange("doubt")])


def test_a_first_that_fails_always_fails() -> None:
    with pytest.raises(RuntimeError):
        cascade(first=BROKEN, fallback="first").detect([exchange("doubt")])
    with pytest.raises(BackendError, match="gave 0 for 1"):
        cascade(first=here("Short")).detect([exchange("doubt")])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"low": 0.8}, "low <= high"),
        ({"high": 2}, "low <= high"),
        ({"fallback": "second"}, "error or first"),
        ({"second": "qwen3guard"}, "is laid out as"),
        ({"second": {"name": "qwen3guard", "model": "x"}}, "is laid out as"),
        ({"second": {"name": "embedded", "options": [1]}}, "are a mapping"),
        ({"second": {"name": "qwen4guard"}}, "did you mean 'qwen3guard'"),
    ],
)
def test_a_cascade_that_is_none(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        cascade(**options)


def ensemble(members: list[dict[str, Any]], **options: Any) -> Detection:
    (found,) = make("detectors", "ensemble", {"members": members, **options}).detect([exchange("clear bad")])
    assert isinstance(found, Detection)
    return found


def test_means_by_hand() -> None:
    three = [here("Naming", harm=0.9) | {"weight": 3}, here("Naming", harm=0.1)]
    assert ensemble(three).harm == pytest.approx((3 * 0.9 + 0.1) / 4)
    odds = (3 * math.log(9) - math.log(9)) / 4
    assert ensemble(three, combine="logit-mean").harm == pytest.approx(1 / (1 + math.exp(-odds)))
    assert ensemble(three, combine="max").harm == 0.9


def test_a_sure_member_does_not_decide_alone() -> None:
    both = [here("Naming", harm=0.0), here("Naming", harm=1.0)]
    assert ensemble(both, combine="logit-mean").harm == pytest.approx(0.5)


def test_categories_are_put_together_over_those_who_tell_them() -> None:
    found = ensemble([here("Telling"), here("Naming", harm=0.2), here("Naming", harm=0.6)])
    assert found.categories == pytest.approx({"S2": 0.4, "legal-advice": 0.7, "S1": 0.4})
    assert found.spans == ()  # the member that found the most harm tells none
    assert ensemble([here("Telling"), here("Naming", harm=0.2)]).spans == (Span(0, 1, 0.5),)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"members": []}, "give members"),
        ({"members": FIRST}, "give members"),
        ({"members": [FIRST], "combine": "median"}, "mean, logit-mean or max"),
        ({"members": [{**FIRST, "weight": 0}]}, "a positive number"),
        ({"members": [{**FIRST, "weight": True}]}, "a positive number"),
        ({"members": [{**FIRST, "cost": 1}]}, "is laid out as"),
    ],
)
def test_an_ensemble_that_is_none(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make("detectors", "ensemble", options)


def test_a_member_that_breaks_its_contract() -> None:
    with pytest.raises(BackendError, match="gave 0 for 1"):
        ensemble([here("Short")])


def test_they_nest_and_serve_a_guard() -> None:
    inner = {"name": "ensemble", "options": {"members": [FIRST, SECOND], "combine": "max"}}
    options = {"first": inner, "second": SECOND, "low": 0.4, "high": 0.6}
    protector = build(Config(detector=BackendConfig(name="cascade", options=options)))
    (protection,) = protector.protect([exchange("clear bad")])
    assert protection.harm == 0.95
    (allowed,) = protector.protect([exchange("fine")])
    assert allowed.unchanged


def test_a_fingerprint_holds_what_moves_scores_and_nothing_else() -> None:
    def told(made: Any) -> str:
        return str(made.fingerprint)

    assert told(cascade()) == told(cascade())
    assert told(cascade()) != told(cascade(low=0.2))
    assert told(cascade()) != told(cascade(second=FIRST))
    assert told(cascade(first=here("Naming", harm=0.5))) != told(cascade(first=here("Naming", harm=0.6)))
    assert told(cascade()) == told(cascade(fallback="first", threads=2))

    def together(**options: Any) -> str:
        return told(make("detectors", "ensemble", {"members": [FIRST, SECOND], **options}))

    assert together() != together(combine="max") != together(members=[FIRST, {**SECOND, "weight": 2}])
    slow, fast = ({"endpoint": "here", "timeout": t, "model": "m"} for t in (1, 2))
    assert fingerprint("guard", slow, object()) == fingerprint("guard", fast, object())
    assert fingerprint("guard", slow, object()) != fingerprint("guard", {**slow, "model": "n"}, object())
