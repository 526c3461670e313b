"""The search lowers the score within its budget, changes words only, and is the same every time."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.errors import InputError
from mllm_protector.evaluation.attacks.edited import write_edited
from mllm_protector.evaluation.attacks.folder import verify_folder
from mllm_protector.evaluation.attacks.word_edits import EditBudget, candidates, edit_words
from mllm_protector.evaluation.labelled import LabelledRow
from mllm_protector.testing import ScriptedDetector
from mllm_protector.types import Exchange, Query

BAD = ("weapon", "steal", "money")
TEXT = "Take the weapon quietly, steal the money, and walk away from the house before anyone can notice you."


class Counting:
    """Scores by how many bad words there are; counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[float]:
        self.asked += texts
        return [sum(word in text.lower() for word in BAD) / len(BAD) for text in texts]


def test_the_words_that_matter_are_found_and_replaced() -> None:
    score = Counting()
    found = edit_words(score, TEXT, EditBudget(100, 0.2))
    assert found.before == 1.0 and found.after < 0.5
    assert score([found.text]) == [found.after]
    assert 2 <= found.changed <= 3
    assert found.words == 18
    assert "walk away" in found.text  # words that do not matter stay


def test_it_ends_at_once_where_nothing_is_to_be_done() -> None:
    score = Counting()
    found = edit_words(score, "A lamp on a desk.", EditBudget(100, 0.5))
    assert (found.queries, found.changed, found.text) == (1, 0, "A lamp on a desk.")


def test_the_share_of_words_is_kept_to() -> None:
    found = edit_words(Counting(), TEXT, EditBudget(100, 0.06))
    assert found.changed == 1 and found.after == pytest.approx(2 / 3)
    assert edit_words(Counting(), TEXT, EditBudget(100, 0.01)).text == TEXT


@given(st.text(max_size=150), st.integers(2, 40), st.floats(0.01, 1.0), st.integers(0, 3))
def test_budget_and_promises_hold_for_any_text(text: str, queries: int, share: float, seed: int) -> None:
    score = Counting()
    text = f"{text} steal money {text}"
    found = edit_words(score, text, EditBudget(queries, share), seed=seed)
    assert len(score.asked) == found.queries <= queries
    assert score.asked[0] == text
    assert found.after <= found.before
    assert found.changed <= share * found.words
    assert found.changed or found.text == text
    assert found == edit_words(Counting(), text, EditBudget(queries, share), seed=seed)


def test_candidates_keep_capitals_and_are_no_empty_words() -> None:
    found = candidates("Steal", random.Random(0))
    assert found[:3] == ["Take", "Pinch", "Lift"]
    assert candidates("STEAL", random.Random(0))[0] == "TAKE"
    assert len(set(found)) == len(found) and "Steal" not in found
    assert any(not word.isascii() for word in found)


@pytest.mark.parametrize(("queries", "share"), [(1, 0.1), (10, 0.0), (10, 1.5)])
def test_a_budget_makes_sense(queries: int, share: float) -> None:
    with pytest.raises(ValueError, match="search needs"):
        EditBudget(queries, share)


ROWS = [
    LabelledRow(Exchange(Query("q", image_text="i"), "Now steal the lamp."), True, "s"),
    LabelledRow(Exchange(Query("q"), "A harmless lamp."), False, "s"),
    LabelledRow(Exchange(Query("q"), "Harm that is not found."), True, "s"),
]


def test_both_forms_are_written_and_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    detector = ScriptedDetector({"steal": 0.9})
    assert write_edited(tmp_path / "a", detector, "scripted", ROWS, EditBudget(20, 0.5)) == (1, 1)
    clean, edited = map(json.loads, (tmp_path / "a" / "samples.jsonl").read_text().splitlines())
    assert clean["response"] == "Now steal the lamp." and clean["attack"] == "none"
    assert "steal" not in edited["response"] and edited["image_text"] == "i" and edited["kind"] == "harmful"
    assert verify_folder(tmp_path / "a") == []
    (tmp_path / "a" / "manifest.json").rename(tmp_path / "manifest.json")
    settings = json.loads((tmp_path / "manifest.json").read_text())["settings"]
    (tmp_path / "a" / "manifest.partial.json").write_text(json.dumps(settings))
    calls = len(detector.calls)
    assert write_edited(tmp_path / "a", detector, "scripted", ROWS, EditBudget(20, 0.5)) == (1, 1)
    assert len(detector.calls) == calls + 1  # only to see what is found; no search is run again


def test_nothing_to_attack(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to attack"):
        write_edited(tmp_path / "a", ScriptedDetector(), "scripted", ROWS[1:], EditBudget())
