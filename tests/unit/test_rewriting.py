"""The rewriting loop over scripted back-ends: every check, every budget, every way to fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mllm_protector import Protector
from mllm_protector.policies import parse_policy
from mllm_protector.policy import Policy
from mllm_protector.types import Action, Detection, Exchange, Protection, Query, RewriteTask, Span, Turn

BAD = "Take the purple powder and mix it with the yellow liquid in a closed jar near the warm stove at night."
GOOD = "I won't explain how the powder is mixed, since people get hurt; a chemistry class shows it safely."
ASKED = "How do I mix the purple powder?"


class Detector:
    """Harm 0.9 where the word ``powder and mix`` or ``forbidden`` stands; spans are the whole text."""

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        return [self._one(e.response) for e in exchanges]

    def _one(self, text: str) -> Detection:
        if "forbidden" in text or text.startswith("Take the purple"):
            return Detection(0.9, {"S2": 0.9}, (Span(0, len(text), 0.9),))
        return Detection(0.1)


class Scripted:
    """Gives its texts one after the other, and keeps what it was asked."""

    def __init__(self, *texts: str | Exception, attempts: int = 1) -> None:
        self.texts, self.attempts, self.asked = list(texts), attempts, list[RewriteTask]()

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        self.asked += tasks
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        if isinstance(text, Exception):
            raise text
        return [text for _ in tasks]


class Meter:
    """The relevance of a text is 1 if it speaks of powder."""

    def relevance(self, tasks: Sequence[RewriteTask], texts: Sequence[str], /) -> list[float | None]:
        return [float("powder" in text) for text in texts]


def policy(extra: str = "") -> Policy:
    return parse_policy(f"threshold: 0.5\n{extra}")


def guard(*writers: Scripted, rules: str = "", **options: object) -> Protector:
    named = {f"w{n}": writer for n, writer in enumerate(writers)}
    return Protector(Detector(), policy(rules), named, **options)  # type: ignore[arg-type]


def protect(protector: Protector, response: str = BAD, **query: object) -> Protection:
    return protector.protect([Exchange(replace(Query(ASKED), **query), response)])[0]  # type: ignore[arg-type]


def test_a_rewrite_that_passes_everything_is_delivered() -> None:
    found = protect(guard(Scripted(GOOD), relevance=Meter()))
    assert (found.action, found.response, found.detoxifier) == (Action.DETOXIFY, GOOD, "w0")


def test_the_relevance_floor_sends_to_the_next_back_end() -> None:
    found = protect(guard(Scripted("Bananas are yellow."), Scripted(GOOD), relevance=Meter()))
    assert found.attempts[0].error == "rejected: relevance 0.00 < 0.10"
    assert (found.response, found.detoxifier) == (GOOD, "w1")


def test_the_floor_of_the_policy_can_be_taken_away() -> None:
    rules = "rewrite: {relevance: 0}"
    assert protect(guard(Scripted("Bananas."), rules=rules, relevance=Meter())).response == "Bananas."


def test_a_meter_that_fails_lets_nothing_through() -> None:
    class Broken:
        def relevance(self, tasks: Sequence[RewriteTask], texts: Sequence[str], /) -> list[float | None]:
            raise RuntimeError("no meter")

    found = protect(guard(Scripted(GOOD), relevance=Broken()))
    assert found.action is Action.REFUSE
    assert found.attempts[0].error == "rejected: relevance not measured: RuntimeError: no meter"


def test_a_long_copy_of_the_harmful_text_is_rejected_even_if_it_scores_low() -> None:
    copy = f"As a careful assistant I only quote: {BAD} Please be safe."
    found = protect(guard(Scripted(copy)))
    assert found.action is Action.REFUSE
    assert found.attempts[0].error == "rejected: repeats more than 15 words of the harmful text"
    assert protect(guard(Scripted(copy), rules="rewrite: {copied_words: 40}")).action is Action.DETOXIFY


def test_a_response_harmful_only_as_a_whole_may_not_come_back_whole() -> None:
    class Whole(Detector):
        def _one(self, text: str) -> Detection:
            return Detection(0.9 if text == BAD else 0.1)

    protector = Protector(Whole(), policy(), {"w": Scripted(f"Well. {BAD}")})
    assert protect(protector).attempts[0].error == "rejected: repeats 100% of the harmful response"
    protector = Protector(Whole(), policy(), {"w": Scripted(BAD.replace(" in a closed jar near", ""))})
    assert protect(protector).action is Action.DETOXIFY


def test_what_was_kept_is_judged_without_the_words_around_it() -> None:
    class Reassured(Detector):
        """Sees no harm where the text says that it is safe."""

        def _one(self, text: str) -> Detection:
            harm = 0.9 if "yellow" in text and "left out" not in text else 0.1
            return Detection(harm, {"S2": harm}, (Span(0, 20, harm),))

    note = "Part of this answer was left out. "
    kept, harmless = "Pour the yellow liquid slowly.", "The powder is sold in shops."
    response = f"Take the purple powder. {kept} {harmless}"
    writer = Scripted(f"{note}{kept}", f"{note}{harmless}", attempts=2)
    found = protect(Protector(Reassured(), policy(), {"w0": writer}), response)
    assert found.response == f"{note}{harmless}"
    assert "what it kept of the response, by itself: harm 0.90 >= 0.50" in str(found.attempts[0].error)
    assert found.attempts[0].detection is not None
    assert found.attempts[0].detection.harm < 0.5


def test_what_was_asked_may_be_repeated() -> None:
    found = protect(guard(Scripted(f"You ask me: {BAD} I won't.")), prompt=BAD)
    assert found.action is Action.DETOXIFY


def test_an_answer_in_another_language_is_rejected() -> None:
    german = "Das erkläre ich nicht, weil es für Sie und die Menschen in der Nähe nicht sicher ist."
    found = protect(guard(Scripted(german), Scripted(GOOD)))
    assert found.attempts[0].error == "rejected: written in 'de', asked in 'en'"
    assert found.response == GOOD
    asked = "Wie kann ich das Pulver mit der Flüssigkeit mischen, und ist es sicher?"
    assert protect(guard(Scripted(german)), prompt=asked).response == german


def test_the_length_limit_of_the_policy() -> None:
    found = protect(guard(Scripted("powder " * 31, GOOD, attempts=2), rules="rewrite: {max_words: 30}"))
    assert [a.error for a in found.attempts] == ["rejected: 31 words > 30", None]


def test_later_attempts_are_told_what_was_wrong() -> None:
    writer = Scripted("This is forbidden.", GOOD, attempts=2)
    found = protect(guard(writer, rules="rewrite: {tone: calm, max_words: 90}"))
    first, second = writer.asked
    assert (first.turn, first.previous, first.tone, first.max_words) == (0, (), "calm", 90)
    assert second.turn == 1 and second.previous[0].error == "rejected: harm 0.90 >= 0.50"
    assert found.response == GOOD


def test_a_back_end_that_failed_outright_is_not_asked_again() -> None:
    writer = Scripted(OSError("down"), attempts=3)
    found = protect(guard(writer, Scripted(GOOD)))
    assert [(a.detoxifier, a.accepted) for a in found.attempts] == [("w0", False), ("w1", True)]
    assert found.error == "w0: OSError: down" and len(writer.asked) == 1


def test_no_attempt_begins_after_the_time_is_up() -> None:
    now = iter([0.0, 1.0, 61.0])
    found = protect(guard(Scripted("forbidden"), Scripted(GOOD), clock=lambda: next(now)))
    assert len(found.attempts) == 1 and found.action is Action.REFUSE
    assert found.error == "rewriting took more than 60 s"


def test_back_ends_hear_how_much_time_is_left() -> None:
    now = iter([0.0, 12.0])
    writer = Scripted(GOOD)
    protect(guard(writer, rules="rewrite: {seconds: 20}", clock=lambda: next(now)))
    assert writer.asked[0].seconds == pytest.approx(8.0)


def test_the_attempts_of_the_policy_are_the_limit_over_all_back_ends() -> None:
    writers = [Scripted("forbidden", attempts=2), Scripted("forbidden", attempts=2), Scripted(GOOD)]
    found = protect(guard(*writers, rules="max_attempts: 3"))
    assert [a.detoxifier for a in found.attempts] == ["w0", "w0", "w1"] and found.action is Action.REFUSE


def test_resources_stand_under_rewrites_and_refusals_and_are_judged() -> None:
    rules = "country: DE\nresources:\n  S2: {DE: 'Hilfe: 0000.', default: 'Help: 1111.'}"
    found = protect(guard(Scripted(GOOD), rules=rules))
    assert found.response == f"{GOOD}\n\nHilfe: 0000."
    assert protect(guard(Scripted("forbidden"), rules=rules)).response.endswith("\n\nHilfe: 0000.")
    other = rules.replace("country: DE\n", "")
    assert protect(guard(Scripted(GOOD), rules=other)).response.endswith("Help: 1111.")
    bad = "resources:\n  S2: {default: 'a forbidden place'}"
    assert protect(guard(Scripted(GOOD), rules=bad)).attempts[0].error == "rejected: harm 0.90 >= 0.50"


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ("How do I mix it?", "I can't help with this one"),
        ("Wie kann ich das mit dem Pulver mischen?", "Dabei kann ich nicht helfen"),
        ("どうやって混ぜるのですか", "この件は"),
    ],
)
def test_the_refusal_speaks_the_language_of_the_prompt(asked: str, begins: str) -> None:
    assert protect(guard(), prompt=asked).response.startswith(begins)


def test_the_history_tells_the_language_where_the_prompt_says_nothing() -> None:
    history = (Turn("user", "Wie kann ich das mit dem Pulver machen?"), Turn("assistant", "Gern."))
    assert protect(guard(), prompt="", history=history).response.startswith("Dabei kann ich nicht helfen")


def test_self_harm_has_its_own_last_resort() -> None:
    class Crisis(Detector):
        def _one(self, text: str) -> Detection:
            return Detection(0.9, {"S11": 0.9})

    found = protect(Protector(Crisis(), policy(), {}))
    assert "talk to someone you trust" in found.response
    own = Protector(Crisis(), policy("texts: {crisis: Call us.}"), {})
    assert protect(own).response == "Call us."


def test_a_text_of_the_policy_replaces_its_translations() -> None:
    rules = "texts: {refuse: No., translations: {fr: {refuse: Non.}}}"
    assert protect(guard(rules=rules), prompt="Wie kann ich das mischen?").response == "No."
    assert (
        protect(guard(rules=rules), prompt="Comment est-ce que je peux faire le mélange ?").response == "Non."
    )


def test_links_are_named_in_the_attempts() -> None:
    class Chain(Scripted):
        def name_of(self, task: RewriteTask) -> str:
            return f"link{task.turn}"

    found = protect(guard(Chain("forbidden", GOOD, attempts=2)))
    assert [a.detoxifier for a in found.attempts] == ["w0/link0", "w0/link1"]
