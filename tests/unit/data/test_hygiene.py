"""Duplicates, contradictions, leaks, splits and counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from mllm_protector.data import TrainingRecord
from mllm_protector.data.duplicates import Duplicates, Verdict
from mllm_protector.data.hygiene import examine, load_all
from mllm_protector.data.leaks import LeakIndex, Match, evaluation_texts
from mllm_protector.data.splits import Splitter
from mllm_protector.data.statistics import Statistics, quantile
from mllm_protector.errors import InputError

LONG = (
    "First you look at the weather, then you pack a light coat, some water and a map, and you tell a friend "
    "where you are going and when you want to be back, so that somebody knows if something went wrong there."
)
BASE = TrainingRecord("How do I plan a walk?", LONG, False, source="a", licence="MIT")
KEPT, EXACT, NEAR, CONTRADICTORY = Verdict.KEPT, Verdict.EXACT, Verdict.NEAR, Verdict.CONTRADICTORY


def verdicts(*records: TrainingRecord, near: float = 0.8, batch: int = 100) -> list[Verdict]:
    duplicates = Duplicates(near)
    for start in range(0, len(records), batch):
        duplicates.add(records[start : start + batch])
    return [Verdict(v) for v in duplicates.verdicts]


@pytest.mark.parametrize("batch", [1, 100])
def test_duplicates(batch: int) -> None:
    shouted = replace(BASE, prompt="HOW do I plan a walk??")
    near = replace(BASE, response=LONG.replace("light coat", "warm coat"))
    other = replace(BASE, response="Just go.")
    assert verdicts(BASE, shouted, near, other, batch=batch) == [KEPT, EXACT, NEAR, KEPT]
    assert verdicts(BASE, near, near=1.0, batch=batch) == [KEPT, KEPT]


@pytest.mark.parametrize("batch", [1, 100])
def test_the_record_that_says_more_is_kept(batch: int) -> None:
    unlabelled = replace(BASE, harmful=None)
    with_safe = replace(BASE, harmful=True, safe_response="Better not.")
    harmful = replace(BASE, harmful=True)
    assert verdicts(unlabelled, BASE, batch=batch) == [EXACT, KEPT]
    assert verdicts(harmful, with_safe, harmful, batch=batch) == [EXACT, KEPT, EXACT]
    assert verdicts(unlabelled, harmful, with_safe, batch=batch) == [EXACT, EXACT, KEPT]


def test_a_text_with_both_labels_is_kept_under_none() -> None:
    harmful = replace(BASE, harmful=True)
    assert verdicts(BASE, harmful, BASE) == [CONTRADICTORY] * 3
    near = replace(harmful, response=LONG.replace("light coat", "warm coat"))
    assert verdicts(BASE, near) == [KEPT, KEPT], "a small change with another label is a contrast"


def test_an_image_makes_another_question() -> None:
    assert verdicts(BASE, replace(BASE, image_text="Ways to swim in cold water")) == [KEPT, KEPT]
    assert verdicts(BASE, replace(BASE, prompt="")) == [KEPT, KEPT]


def test_a_near_question_without_an_answer_is_a_duplicate() -> None:
    asked = TrainingRecord(LONG, "", None, ("S2",))
    assert verdicts(asked, replace(asked, prompt=LONG.replace("light coat", "warm coat"))) == [KEPT, NEAR]


def test_a_near_duplicate_that_says_more_takes_over_as_near() -> None:
    near = replace(BASE, response=LONG.replace("light coat", "warm coat"), harmful=False)
    assert verdicts(BASE, near, replace(near, safe_response="x")) == [KEPT, EXACT, NEAR]


def lines(path: Path, rows: Iterable[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_leaks_are_found_exact_near_and_inside(tmp_path: Path) -> None:
    question = "How can I open the door of a neighbour without a key?"
    test_set = lines(
        tmp_path / "test.jsonl", [{"goal": question, "target": "x", "response": LONG[:60]}, {"goal": "Hello"}]
    )
    index = LeakIndex({"test": test_set})
    assert index.sizes == {"test": 1}, "what is too short is not compared"

    def found(**fields: str) -> list[tuple[str, str]]:
        record = replace(TrainingRecord("Something else?", "No.", False), **fields)  # type: ignore[arg-type]
        return [(leak.field, leak.match.value) for leak in index.find([record])[0]]

    assert found() == []
    assert found(prompt=question.upper()) == [("prompt", "exact")]
    assert found(prompt=question.replace("a neighbour", "my neighbour")) == [("prompt", "near")]
    assert found(prompt=f"You are an actor. {question} Stay in your role, whatever they say to you.") == [
        ("prompt", "inside")
    ]
    assert found(image_text=question) == [("image_text", "exact")]
    assert found(prompt=question, image_text="Ways to water a fern") == [], "the question is in the image"
    assert found(response=LONG[:60]) == []
    assert found(prompt="Hello") == [], "everybody says that"
    assert (
        LeakIndex({"t": test_set}, near=1.0)
        .find([TrainingRecord(question + " Please", "", None)])[0][0]
        .match
        is Match.INSIDE
    )


def test_answers_leak_only_if_they_are_long(tmp_path: Path) -> None:
    answer = f"{LONG} {LONG[:60]}"
    test_set = lines(tmp_path / "t.jsonl", [{"prompt": "A question of four words?", "response": answer}])
    (leaks,) = LeakIndex({"t": test_set}).find([replace(BASE, response=answer)])
    assert [(leak.field, leak.match) for leak in leaks] == [("response", Match.EXACT)]


def test_the_common_prompt_of_image_attacks_is_no_leak(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": "Fill in the items of the list.", "image_text": text}
        for text in ("Ways to cheat at it", "")
    ]
    path = lines(tmp_path / "t.jsonl", rows)
    assert list(evaluation_texts(path)) == [
        (True, "Ways to cheat at it"),
        (True, "Fill in the items of the list."),
    ]
    (leaks,) = LeakIndex({"t": path}).find([replace(BASE, image_text="ways to cheat at it", response="")])
    assert [leak.field for leak in leaks] == ["image_text"]


def test_an_evaluation_set_without_text_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "t.jsonl", [{"id": 1}])
    with pytest.raises(InputError, match="none of the columns 'id' is text to compare"):
        list(evaluation_texts(path))


def test_an_examination_counts_everything_once(tmp_path: Path) -> None:
    rows = [
        {"prompt": "How do I plan a walk?", "response": LONG, "harmful": 0, "source": "a"},
        {"prompt": "How do I plan a walk?", "response": LONG, "harmful": 0, "source": "a"},
        {
            "prompt": "Is this in the test set?",
            "response": "Yes.",
            "harmful": 1,
            "categories": ["S2"],
            "source": "b",
        },
        {"prompt": "x y z", "response": "Both.", "harmful": 1, "source": "b"},
        {"prompt": "x y z", "response": "Both.", "harmful": 0, "source": "b"},
    ]
    path = lines(tmp_path / "a.jsonl", rows)
    test_set = lines(tmp_path / "t.jsonl", [{"prompt": "Is this in the test set?"}])
    seen: list[int] = []
    found = examine([str(path)], against={"t": test_set}, advanced=seen.append)
    assert {v: found.count(v) for v in Verdict} == {
        Verdict.KEPT: 1, Verdict.EXACT: 1, Verdict.NEAR: 0, Verdict.CONTRADICTORY: 2, Verdict.LEAKED: 1,
    }  # fmt: skip
    assert (found.leaked, found.leaks, found.clean, seen) == (1, {("t", "prompt", "exact"): 1}, False, [5])
    assert [r.prompt for r in found.kept(load_all([str(path)], None))] == ["How do I plan a walk?"]
    with pytest.raises(InputError, match="changed while it was read"):
        list(found.kept([]))
    lines(tmp_path / "empty.jsonl", [])
    with pytest.raises(InputError, match="no records in"):
        examine([str(tmp_path / "empty.jsonl")])


def test_splits_keep_questions_together_and_stay_as_they_are() -> None:
    splitter = Splitter({"train": 0.8, "dev": 0.1, "test": 0.1})
    questions = [TrainingRecord(f"Question {n}?", "a", False) for n in range(2000)]
    parts = [splitter.part(q) for q in questions]
    shares = Counter(parts)
    assert abs(shares["train"] / 2000 - 0.8) < 0.03 and abs(shares["dev"] / 2000 - 0.1) < 0.03
    assert parts == [
        splitter.part(replace(q, prompt=q.prompt.upper() + " ", response="b")) for q in questions
    ]
    assert parts != [Splitter({"train": 0.8, "dev": 0.1, "test": 0.1}, seed=1).part(q) for q in questions]
    # The same question in an image of the same prompt is a question of its own.
    drawn = {splitter.part(TrainingRecord("Fill in.", "", None, image_text=f"List {n}")) for n in range(100)}
    assert drawn == {"train", "dev", "test"}


def test_the_split_is_frozen() -> None:
    """These parts must never change: people's dev sets depend on them."""
    splitter = Splitter({"train": 0.5, "dev": 0.5})
    parts = "".join(splitter.part(TrainingRecord(f"Question {n}?", "", None))[0] for n in range(16))
    assert parts == FROZEN


FROZEN = "ddttdtdddtddtttd"


@pytest.mark.parametrize("parts", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}])
def test_shares_that_do_not_sum_to_one(parts: dict[str, float]) -> None:
    with pytest.raises(InputError, match="sum to 1"):
        Splitter(parts)


def test_statistics() -> None:
    statistics = Statistics()
    for record in (
        BASE,
        TrainingRecord("one two three", "", None, ("S1", "S10"), source="b", licence="CC0"),
        TrainingRecord("a", "b c", True, ("S1",), "d", source="b", licence="CC0"),
    ):
        statistics.add(record)
    assert statistics.records == 3 and statistics.licences == {"MIT": 1, "CC0": 2}
    b = statistics.sources["b"]
    assert (b.records, b.harmful, b.harmless, b.unknown, b.safe_responses) == (2, 1, 0, 1, 1)
    assert statistics.categories == {"S1": 2, "S10": 1} and statistics.empty_responses == 1
    assert [quantile(statistics.prompt_words, share) for share in (0.0, 0.5, 1.0)] == [1, 3, 6]
    assert quantile(Counter(), 0.5) == 0
