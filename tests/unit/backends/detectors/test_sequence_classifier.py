"""Sequence classifiers: which label is harm, how inputs are laid out, and the paper's checkpoints."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import tiny_guards

from mllm_protector.backends.detectors.heads import Head
from mllm_protector.errors import CheckpointError, ConfigError
from mllm_protector.registry import make
from mllm_protector.taxonomy import LABEL_SETS
from mllm_protector.types import Exchange, Query

# peft asks transformers for something that it is about to rename
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

ONE = Exchange(Query("what is it"), "a red lamp")


def logits(*values: float) -> Any:
    return np.array(values, dtype=np.float64)


def test_labels_by_name_number_or_what_they_are_called() -> None:
    row = logits(0.0, np.log(3.0))
    for options in ({}, {"harmful": "unsafe"}, {"harmful": [1]}, {"safe": "safe"}, {"safe": 0}):
        assert Head(["safe", "unsafe"], **options).harm(row) == pytest.approx(0.75)
    assert Head(["safe", "unsafe"], harmful="safe").harm(row) == pytest.approx(0.25)


def test_one_logit_stands_for_what_it_is_said_to() -> None:
    assert Head(["LABEL_0"]).harm(logits(np.log(3.0))) == pytest.approx(0.75)
    assert Head(["LABEL_0"], logit="safe").harm(logits(np.log(3.0))) == pytest.approx(0.25)


def test_several_labels_at_once_count_by_the_worst() -> None:
    head = Head(["a", "b", "fine"], several=True, harmful=["a", "b"], labels={"a": "S1", "b": ["S1", "S2"]})
    row = logits(np.log(3.0), np.log(9.0), 5.0)
    assert head.harm(row) == pytest.approx(0.9)
    assert head.categories(row) == pytest.approx({"S1": 0.9, "S2": 0.9})


def test_exclusive_harmful_labels_add_up() -> None:
    assert Head(["ok", "a", "b"], safe="ok").harm(logits(0.0, 0.0, 0.0)) == pytest.approx(2 / 3)
    assert Head(["ok", "a", "b"], harmful=["a", "b"]).harm(logits(0.0, 0.0, 0.0)) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["LABEL_0", "LABEL_1"], {}, "which labels are harmful"),
        (["safe", "unsafe"], {"harmful": "bad"}, "no label 'bad'; known: safe, unsafe"),
        (["safe", "unsafe"], {"harmful": 2}, "no label 2"),
        (["safe", "unsafe"], {"harmful": []}, "at least one label"),
        (["safe", "unsafe"], {"harmful": "unsafe", "safe": "safe"}, "not both"),
        (["safe", "unsafe"], {"labels": {"x": "S1"}}, "no label 'x'"),
    ],
)
def test_polarity_is_never_guessed(names: list[str], options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Head(names, **options)


def test_templates_lay_out_what_they_show(tmp_path: Path) -> None:
    folder = str(tiny_guards.save_classifier(tmp_path, labels=("safe", "unsafe")))
    options = {"model": folder, "max_length": 64}
    bare = make("detectors", "sequence-classifier", {**options, "template": "{response}"})
    asked = make(
        "detectors", "sequence-classifier", {**options, "template": "Question: {prompt}\nAnswer: {response}"}
    )
    other = Exchange(Query("tell me"), "a red lamp")
    assert bare.detect([ONE])[0].harm == bare.detect([other])[0].harm
    assert asked.detect([ONE])[0].harm != asked.detect([other])[0].harm
    # A response that looks like a hole of the template is only text.
    assert 0.0 <= asked.detect([Exchange(Query("{response}"), "{prompt}")])[0].harm <= 1.0


def test_windows_of_tokens_cover_all_of_a_response(tmp_path: Path) -> None:
    folder = str(tiny_guards.save_classifier(tmp_path, labels=("safe", "unsafe")))
    detector = make("detectors", "sequence-classifier", {"model": folder, "max_length": 32})
    text = "a red lamp is a good thing " * 40
    places = detector._places(text, 16)
    assert places[0].start == 0 and places[-1].end == len(text)
    for place, following in pairwise(places):
        assert place.start < following.start < place.end
    assert all(len(detector._offsets(text[p.start : p.end])) <= 16 for p in places)
    (whole,) = detector.detect([Exchange(Query("tell me " * 200), text)])
    parts = [
        detector.detect([Exchange(Query("tell me " * 200), text[p.start : p.end])])[0].harm for p in places
    ]
    assert whole.harm <= max(parts) + 0.5


def test_the_papers_checkpoint(tmp_path: Path) -> None:
    """A LoRA adapter with a one-logit head that stands for safe, against transformers and peft by hand."""
    import peft
    import torch
    import transformers

    base, adapter = tiny_guards.save_paper_detector(tmp_path)
    detector = make("detectors", "paper", {"model": str(adapter), "base": str(base)})
    (found,) = detector.detect([ONE])
    auto: Any = transformers.AutoModelForSequenceClassification
    model: Any = peft.PeftModel.from_pretrained(auto.from_pretrained(base, num_labels=1), adapter)
    ids = tiny_guards.tokenizer()("Question: what is it\n\nAnswer: a red lamp", return_tensors="pt").input_ids
    model.eval().config.pad_token_id = 3
    with torch.inference_mode():
        safe = float(torch.sigmoid(model(input_ids=ids).logits.float())[0, 0])
    assert found.harm == pytest.approx(1.0 - safe, abs=1e-5)
    merged = tmp_path / "merged"
    model.merge_and_unload().save_pretrained(merged)
    tiny_guards.tokenizer().save_pretrained(merged)
    same = make("detectors", "paper", {"model": str(merged), "base": ""})
    assert same.detect([ONE])[0].harm == pytest.approx(found.harm, abs=1e-5)


def test_beaver_dam_tells_categories(tmp_path: Path) -> None:
    folder = tiny_guards.save_llama_classifier(tmp_path, len(LABEL_SETS["beavertails"]))
    (found,) = make("detectors", "beaver-dam", {"model": str(folder)}).detect([ONE])
    assert {"S1", "S2", "S4", "S7", "S10", "S11", "S12"} == set(found.categories)
    assert found.harm >= max(found.categories.values())


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        make("detectors", "sequence-classifier", {"model": str(tmp_path / "nothing")})
    with pytest.raises(ConfigError, match="give base"):
        make("detectors", "paper", {"model": str(tmp_path)})
    base, adapter = tiny_guards.save_paper_detector(tmp_path, head=False)
    with pytest.raises(CheckpointError, match="no classification head"):
        make("detectors", "paper", {"model": str(adapter), "base": str(base)})
    with pytest.raises(CheckpointError, match="no trained classification head"):
        make("detectors", "sequence-classifier", {"model": str(base), "harmful": 1})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"template": "no hole"}, "with {response} in it"),
        ({"dtype": "int8"}, "is none of"),
        ({"max_length": 4}, "at least 16"),
        ({"logit": "bad"}, "harmful or safe"),
    ],
)
def test_bad_options_name_their_cure(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make("detectors", "sequence-classifier", {"model": "x", **options})
