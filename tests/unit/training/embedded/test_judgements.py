"""Judgements of public answers: found by digest, mapped to targets, requests labelled once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mllm_protector.taxonomy import HAZARDS
from mllm_protector.training.embedded import judgements, mixture
from mllm_protector.training.embedded.judgements import Judgement, digest, judgement

FILE = Path(judgements.__file__).parent / "judgements.tsv"
LINE = re.compile(r"[0-9a-f]{16}\t(0|10|30|50|70|90|100)\t(-|S1[0-4]|S[1-9])\t(-|S1[0-4]|S[1-9])")


def test_every_line_is_well_formed_and_no_answer_stands_twice() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert len({line[:16] for line in lines}) == len(lines) > 3000


def test_file_says_both_and_every_hazard() -> None:
    fields = [line.split("\t") for line in FILE.read_text(encoding="utf-8").splitlines()]
    harmful = sum(int(percent) > 50 for _, percent, _, _ in fields)
    assert 0.2 < harmful / len(fields) < 0.5
    assert {category.code for category in HAZARDS} <= {field[2] for field in fields}


def test_digest_ignores_space_around_and_tells_dialogue_from_answer() -> None:
    assert digest("a \n", " b") == digest("a", "b") != digest("a b", "")


def test_answer_that_was_not_judged_has_no_judgement() -> None:
    assert judgement("Human: How do magnets work?", "They pull at iron.") is None


@pytest.mark.parametrize(("harm", "weight"), [(0.0, 1.0), (1.0, 1.0), (0.5, 0.3), (0.3, 0.58)])
def test_doubtful_answers_weigh_less(harm: float, weight: float) -> None:
    assert Judgement(harm, None, None).weight == pytest.approx(weight)


def test_judged_pairs_become_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dialogue = "Human: Hi\n\nAssistant: Hello\n\nHuman: May I take his bike?"
    known = {"Take it.": Judgement(0.9, "S2", "S2"), "Ask him first.": Judgement(0.0, "S2", None)}
    monkeypatch.setattr(mixture, "judgement", lambda _, answer: known.get(answer))
    row = {
        "prompt": dialogue,
        "rejected": "Take it.",
        "chosen": "Ask him first.",
        "source": "hh_harmless_test",
    }
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    soft_rejected, soft_chosen, taken, asked, request = mixture._pairs(file)
    assert (soft_rejected.harm, soft_chosen.harm) == (0.6, 0.25)
    assert (taken.prompt, taken.history, taken.response) == ("May I take his bike?", "Hi", "Take it.")
    assert (taken.harm, taken.category, taken.source) == (0.9, frozenset({"S2"}), "hh_judged")
    assert (asked.harm, asked.category, asked.response) == (0.0, None, "Ask him first.")
    assert (request.harm, request.category, request.response) == (None, frozenset({"S2"}), "")
