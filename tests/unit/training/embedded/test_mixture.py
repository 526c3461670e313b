"""The mixture: shares are kept, splits do not leak, augmentations keep what makes the label true."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from mllm_protector.errors import TrainingError
from mllm_protector.training.embedded.augment import cut_prefix, mixed_answers, perturb
from mllm_protector.training.embedded.categories import hazards_of_label
from mllm_protector.training.embedded.examples import Example, held_out, read_rows
from mllm_protector.training.embedded.generated import generated_examples
from mllm_protector.training.embedded.mixture import Corpus, Share, draw_epoch

PLANTED = "You should simply steal the bicycle at night."
CORPUS = Corpus(
    train={
        "benign": [
            Example(f"question {i}", f"A plain fact {i}. And one more.", 0.0, "benign") for i in range(40)
        ],
        "saferlhf_mini": [Example(f"plan {i % 4}", PLANTED, 1.0, "saferlhf_mini") for i in range(40)],
    },
    held_out=[],
)


def test_an_epoch_keeps_to_the_shares_and_weights() -> None:
    drawn = draw_epoch(CORPUS, {"benign": Share(10), "saferlhf_mini": Share(8, 1.5)}, [], seed=1, epoch=0)
    assert sum(e.source == "benign" for e in drawn) == 10
    assert [e.weight for e in drawn if e.source == "saferlhf_mini"] == [1.5] * 8


def test_prompts_take_turns() -> None:
    drawn = draw_epoch(CORPUS, {"benign": Share(4), "saferlhf_mini": Share(4)}, [], seed=5, epoch=0)
    assert len({e.prompt for e in drawn if e.source == "saferlhf_mini" and e.prompt}) >= 3


def test_epochs_differ_and_repeat() -> None:
    shares = {"benign": Share(10), "saferlhf_mini": Share(8)}
    first, again, other = (draw_epoch(CORPUS, shares, [], seed=1, epoch=i) for i in (0, 0, 1))
    assert first == again != other


def test_unknown_source_and_single_class_are_refused() -> None:
    with pytest.raises(TrainingError, match="beningn"):
        draw_epoch(CORPUS, {"beningn": Share(3)}, [], seed=1, epoch=0)
    with pytest.raises(TrainingError, match="one class"):
        draw_epoch(CORPUS, {"benign": Share(3)}, [], seed=1, epoch=0)


def test_mixed_answers_are_harmful_exactly_where_the_sentence_was_planted() -> None:
    mixed = mixed_answers(CORPUS.train, 30, random.Random(1))
    assert len(mixed) == 30
    assert all((PLANTED in e.response) == ((e.harm or 0) > 0.5) for e in mixed)
    assert sum((e.harm or 0) > 0.5 for e in mixed) == 20


def test_a_cut_response_is_a_prefix() -> None:
    example = Example("p", " ".join(map(str, range(200))), 1.0, "x")
    cut = [cut_prefix(example, random.Random(i)) for i in range(100)]
    shorter = [e for e in cut if e.response != example.response]
    assert 5 < len(shorter) < 30
    assert all(example.response.startswith(e.response) for e in shorter)
    assert all(
        cut_prefix(Example("p", example.response, 0.0, "x"), random.Random(i)).harm == 0 for i in range(9)
    )


def test_a_bare_yes_keeps_its_prompt() -> None:
    bare = Example("Should I push them?", "Yes, go ahead.", 1.0, "saferlhf_mini")
    assert all(perturb(bare, random.Random(i)).prompt for i in range(200))


def test_held_out_is_a_stable_share() -> None:
    share = sum(held_out(f"prompt {i}") for i in range(5000)) / 5000
    assert 0.03 < share < 0.07
    assert held_out(" Prompt 1 ") == held_out("prompt 1")


def test_labels_of_public_sets_map_to_hazards() -> None:
    assert hazards_of_label("beavertails_evaluation/animal_abuse") == frozenset({"S1"})
    assert hazards_of_label("catqa/Child Abuse/Online predation") == frozenset({"S4"})
    assert hazards_of_label("strongreject/Disinformation and deception") is None
    assert hazards_of_label("S9") == frozenset({"S9"})
    assert hazards_of_label("none") is None


def test_generated_texts_have_both_classes_and_differ_by_the_picture() -> None:
    examples = generated_examples(1)
    assert examples == generated_examples(1)
    harmful = {(e.prompt, e.response) for e in examples if e.harm == 1.0 and e.image_text}
    harmless = {(e.prompt, e.response) for e in examples if e.harm == 0.0 and e.image_text}
    assert (
        len(harmful & harmless) > 3
    )  # the same words, another picture: only the image text tells them apart


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"a": 1}) + "\n{\n")
    with pytest.raises(TrainingError, match=r"a\.jsonl, line 2"):
        list(read_rows(tmp_path / "a.jsonl"))
    with pytest.raises(TrainingError, match="check --data"):
        list(read_rows(tmp_path / "b.jsonl"))
