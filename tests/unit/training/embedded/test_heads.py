"""Hazard heads fitted again: they learn their labels, everything else stays as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tokenizers import Tokenizer

from mllm_protector.checkpoints import OUTPUTS
from mllm_protector.errors import TrainingError
from mllm_protector.training.embedded.categories import category_dev
from mllm_protector.training.embedded.detector import logits_of
from mllm_protector.training.embedded.examples import Example
from mllm_protector.training.embedded.heads import hazard_examples, refit_hazards
from mllm_protector.training.embedded.mixture import Corpus
from mllm_protector.training.embedded.network import PairClassifier

from .test_detector import network, tokenizer


def requests(hazards: dict[str, str]) -> Iterator[Example]:
    for code, word in hazards.items():
        for other in ("cat", "dog", "sea"):
            yield Example(f"{other} {word}", "", None, "categorised", category=frozenset({code}))


@pytest.fixture
def fitted() -> tuple[PairClassifier, PairClassifier, Tokenizer]:
    before, after, words = network(), network(), tokenizer()
    refit_hazards(after.eval(), words, list(requests({"S1": "bad", "S2": "tea", "S14": "sun"})), penalty=0.01)
    return before.eval(), after, words


def test_heads_name_the_hazard_they_were_fitted_on(
    fitted: tuple[PairClassifier, PairClassifier, Tokenizer],
) -> None:
    _, after, words = fitted
    rows = list(requests({"S1": "bad", "S2": "tea", "S14": "sun"}))
    logits = logits_of(after, words, rows)[:, [OUTPUTS.index(c) for c in ("S1", "S2", "S14")]]
    assert logits.argmax(1).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (logits.max(1) > 0).all()


def test_encoder_harm_and_advice_stay(fitted: tuple[PairClassifier, PairClassifier, Tokenizer]) -> None:
    before, after, _ = fitted
    old, new = before.state_dict(), after.state_dict()
    kept = [0, *range(15, len(OUTPUTS))]
    assert all(torch.equal(old[name], new[name]) for name in old if not name.startswith("heads"))
    assert torch.equal(old["heads.weight"][kept], new["heads.weight"][kept])
    assert torch.equal(old["heads.bias"][kept], new["heads.bias"][kept])


def test_without_examples_there_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no example with a hazard"):
        refit_hazards(network(), tokenizer(), [])


def test_prompts_kept_to_measure_harmless_and_guessed_rows_are_left_out() -> None:
    code = frozenset({"S2"})
    kept = next(f"request {i}" for i in range(200) if category_dev(f"request {i}"))
    trained = next(f"request {i}" for i in range(200) if not category_dev(f"request {i}"))
    rows = {
        "categorised": [Example(p, "", None, "categorised", category=code) for p in (kept, trained)],
        "written": [Example("a", "b", 0.0, "written"), Example("a", "c", 1.0, "written", category=code)],
        "saferlhf_mini": [Example("a", "c", 1.0, "saferlhf_mini", category=code)],
    }
    found = [(e.prompt, e.response, e.weight) for e in hazard_examples(Corpus(rows, []))]
    assert found == [(trained, "", 3.0), ("a", "c", 1.0), (trained, trained, 3.0)]
