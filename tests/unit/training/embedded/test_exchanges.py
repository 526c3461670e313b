"""The exchanges written by hand: every group is complete, no request or answer stands twice."""

from __future__ import annotations

from collections import Counter

from mllm_protector.taxonomy import ADVICE, HAZARDS
from mllm_protector.training.embedded.exchanges import (
    Exchange,
    exchange_examples,
    exchanges,
    request_examples,
)

GROUPS = exchanges()


def _complete(group: Exchange) -> bool:
    texts = (group.request, *group.harmful, *group.harmless)
    return (
        all(text and text == text.strip() for text in texts)
        and len(set(texts)) == len(texts)
        and len(group.harmless) > 0
        and (len(group.harmful) > 0 or group.hazard is None)
        and group.advice in {None, *(category.code for category in ADVICE)}
    )


def test_every_group_is_complete() -> None:
    assert [group.request for group in GROUPS if not _complete(group)] == []


def test_every_hazard_has_groups_of_its_own() -> None:
    counts = Counter(group.hazard for group in GROUPS)
    assert set(counts) == {None, *(category.code for category in HAZARDS)}
    assert all(count >= 25 for count in counts.values())


def test_no_request_is_written_twice() -> None:
    keys = Counter((" ".join(g.request.lower().split()), g.image_text.lower()) for g in GROUPS)
    assert [key for key, count in keys.items() if count > 1] == []


def test_no_answer_is_both_harmful_and_harmless() -> None:
    harmful = {a.lower() for group in GROUPS for a in group.harmful if len(a) > 10}  # "Yes." is either
    harmless = {answer.lower() for group in GROUPS for answer in group.harmless}
    assert harmful & harmless == set()


def test_examples_carry_the_labels_of_their_group() -> None:
    examples = exchange_examples()
    assert len(examples) == sum(len(g.harmful) + len(g.harmless) for g in GROUPS if not g.kept_out)
    assert {e.source for e in examples} == {"written"}
    of_hazards = [e for e in examples if e.category]
    assert all(e.harm == 1.0 for e in of_hazards)
    assert any(e.image_text for e in of_hazards)
    assert any("health-advice" in (e.advice or ()) for e in of_hazards)
    assert all(e.advice == frozenset() for e in examples if e.harm == 0.0)


def test_groups_that_are_kept_out_are_not_trained_on() -> None:
    kept = {example.prompt for example in exchange_examples(kept_out=True)}
    assert kept
    assert kept.isdisjoint(example.prompt for example in exchange_examples())
    assert kept.isdisjoint(example.prompt for example in request_examples())
