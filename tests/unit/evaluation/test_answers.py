"""Recorded answers, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.evaluation.sets import image, lines

from mllm_protector.errors import InputError
from mllm_protector.evaluation.answers import LiveAnswers, OwnAnswers, RecordedAnswers
from mllm_protector.evaluation.memory import AnswerStore, RememberingModel
from mllm_protector.evaluation.samples import Sample
from mllm_protector.testing import ScriptedChatModel


def test_recorded_answers_are_found_by_id_and_oddities_are_named(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "a.jsonl",
        [
            {"id": "b", "response": "B"},
            {"id": 7, "response": "seven"},
            {"id": "b", "response": "again"},
            {"id": "stray", "response": "?"},
            {"response": "nobody's"},
            {"id": "failed", "response": None, "error": "timed out"},
        ],
    )
    path.write_text(path.read_text() + "{broken\n\n")
    answers = RecordedAnswers(path)
    found = answers.answer([Sample(i, "p") for i in ("7", "b", "c", "failed")])
    assert [a.text for a in found] == ["seven", "B", None, None]
    assert [a.error for a in found] == ["", "", "no answer recorded", "timed out"]
    notes = answers.notes()
    assert notes["answers given twice"] == ["b"]
    assert notes["answers to ids that are not evaluated"] == ["stray"]
    assert len(notes["lines of answers that cannot be read"]) == 2
    answers.close()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        RecordedAnswers(tmp_path / "none.jsonl")


def test_the_identity_follows_the_content(tmp_path: Path) -> None:
    identities = set()
    for response in ("A", "B", "A"):
        answers = RecordedAnswers(lines(tmp_path / "a.jsonl", [{"id": "a", "response": response}]))
        identities.add(answers.identity)
        answers.close()
    assert len(identities) == 2


def test_own_answers() -> None:
    texts = [a.text for a in OwnAnswers().answer([Sample("a", "p", response="r"), Sample("b", "p")])]
    assert texts == ["r", None]


def test_live_answers_send_the_images(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    model = ScriptedChatModel(["yes"])
    live = LiveAnswers(RememberingModel(model, "m", AnswerStore(None)))
    samples = [Sample("a", "p", images=(tmp_path / "a.png",)), Sample("b", "p", images=(tmp_path / "b.png",))]
    first, second = live.answer(samples)
    assert first.text == "yes" and model.queries[0].images[0].media_type == "image/png"
    assert second.text is None and "not there" in second.error
