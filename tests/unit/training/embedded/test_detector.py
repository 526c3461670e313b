"""A tiny network through the whole way: train, resume, export, quantise, calibrate, load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig

from mllm_protector.checkpoints import probabilities, verify
from mllm_protector.errors import TrainingError
from mllm_protector.training.embedded.batches import length_buckets
from mllm_protector.training.embedded.detector import logits_of, train_epochs, with_hardest
from mllm_protector.training.embedded.examples import Example
from mllm_protector.training.embedded.export import export_onnx, onnx_logits
from mllm_protector.training.embedded.mixture import Corpus, Share
from mllm_protector.training.embedded.network import PairClassifier, soup
from mllm_protector.training.embedded.recover import recover
from mllm_protector.training.embedded.release import release
from mllm_protector.training.embedded.settings import Settings, load_recipe

WORDS = ["good", "bad", "cat", "dog", "sun", "tea", "sea", "tree"]
VOCABULARY = {"[PAD]": 0, **{f"w{i}": i for i in range(1, 120)}, **{w: 120 + i for i, w in enumerate(WORDS)}}
SETTINGS = Settings(
    epochs=1, batch_size=8, lr=3e-3, head_lr=1e-2, freeze_embeddings=False, bf16=False, threads=1,
    checkpoint_every=1000, average_from=1.0, smoothing=0.0,
)  # fmt: skip


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel(VOCABULARY, unk_token="w1"))
    made.pre_tokenizer = Whitespace()
    return made


def network(seed: int = 0) -> PairClassifier:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=300,
    )  # fmt: skip
    return PairClassifier.from_config(config)


def examples(count: int = 160) -> list[Example]:
    rng = np.random.default_rng(1)
    made = []
    for i in range(count):
        words = [WORDS[j] for j in rng.integers(2, len(WORDS), rng.integers(3, 12))]
        words.insert(int(rng.integers(len(words))), "bad" if i % 2 else "good")
        made.append(Example("cat", " ".join(words), float(i % 2), "toy", advice=frozenset()))
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> PairClassifier:
    return train_epochs(SETTINGS, network(), tokenizer(), [examples()] * 6, tmp_path_factory.mktemp("run"))


def test_training_learns_what_the_labels_say(trained: PairClassifier) -> None:
    rows = examples(40)
    harm = logits_of(trained, tokenizer(), rows)[:, 0]
    assert harm[1::2].min() > harm[::2].max()
    assert harm[1::2].mean() > 1 > -1 > harm[::2].mean()


def test_hard_rows_are_those_that_the_network_errs_on_most(trained: PairClassifier) -> None:
    right, wrong = examples(40), [replace(e, harm=1.0 - float(e.harm or 0)) for e in examples(6)]
    unlabelled = replace(right[0], harm=None)
    corpus = Corpus({"toy": [*right[:20], *wrong, unlabelled, *right[20:]]}, [])
    found = with_hardest(corpus, {"hard_toy": Share(6), "toy": Share(9)}, trained, tokenizer())
    assert sorted(found.train) == ["hard_toy", "toy"]
    assert {(e.response, e.harm) for e in found.train["hard_toy"]} == {(e.response, e.harm) for e in wrong}


def test_release_writes_a_folder_that_loads_and_agrees(trained: PairClassifier, tmp_path: Path) -> None:
    rows = examples(60)
    gap = release(trained, tokenizer(), rows, tmp_path, "tiny", "# card\n")
    manifest = verify(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "card.md",
        "checkpoint.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert gap.mean <= 0.02
    assert gap.texts == 60
    logits = onnx_logits(tmp_path / "model.onnx", Tokenizer.from_file(str(tmp_path / "tokenizer.json")), rows)
    assert logits.shape == (60, 20)
    assert np.abs(logits - logits_of(trained, tokenizer(), rows)).max() < 0.5
    flagged = probabilities(logits, manifest)[:, 0] >= manifest.threshold
    # The operating point keeps a margin from the rows it was chosen on, so those at the edge may be missed.
    harmful = np.array([bool(e.harm) for e in rows])
    assert flagged[harmful].mean() > 0.6
    assert not flagged[~harmful].any()


def test_weights_come_back_from_the_int8_file(trained: PairClassifier, tmp_path: Path) -> None:
    release(trained, tokenizer(), examples(60), tmp_path, "tiny", "# card\n")
    found = recover(tmp_path / "model.onnx", network(seed=7)).state_dict()
    for name, value in trained.state_dict().items():
        assert torch.allclose(found[name], value, atol=float(value.abs().max()) / 100), name


def test_a_model_of_another_kind_is_not_recovered(trained: PairClassifier, tmp_path: Path) -> None:
    export_onnx(trained, tmp_path / "float.onnx")
    with pytest.raises(TrainingError, match=r"float\.onnx is no release"):
        recover(tmp_path / "float.onnx", network())
    with pytest.raises(TrainingError, match=r"cannot be read as ONNX"):
        recover(tmp_path / "absent.onnx", network())


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    data = [examples(48), examples(48)]
    whole = train_epochs(SETTINGS, network(), tokenizer(), data, tmp_path / "whole")
    train_epochs(SETTINGS, network(), tokenizer(), data, tmp_path / "parts", stop_after=5)
    assert not (tmp_path / "parts" / "weights.pt").exists()
    resumed = train_epochs(SETTINGS, network(seed=9), tokenizer(), data, tmp_path / "parts")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_loss_that_is_not_a_number_stops_and_names_the_batch(tmp_path: Path) -> None:
    broken = network()
    torch.nn.init.constant_(broken.heads.weight, float("nan"))
    with pytest.raises(TrainingError, match=r"nan in step 0.*toy"):
        train_epochs(SETTINGS, broken, tokenizer(), [examples(8)], tmp_path)


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing to train on"):
        train_epochs(SETTINGS, network(), tokenizer(), [[]], tmp_path)


def test_a_soup_is_the_mean() -> None:
    a, b = network(1), network(2)
    expected = (a.heads.weight + b.heads.weight) / 2
    assert torch.allclose(soup([a, b]).heads.weight, expected)


def test_buckets_hold_every_index_once() -> None:
    import random

    lengths = [int(x) for x in np.random.default_rng(0).integers(5, 200, 1000)]
    batches = length_buckets(lengths, 16, random.Random(0))
    assert sorted(i for batch in batches for i in batch) == list(range(1000))
    assert np.mean([max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]) < 20


def test_recipe_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("epochs: 1\nlearning_rate: 2\n")
    with pytest.raises(TrainingError, match="learning_rate"):
        load_recipe(tmp_path / "r.yaml")


def test_the_shipped_recipe_is_read() -> None:
    settings = load_recipe(Path(__file__).parents[4] / "recipes" / "embedded-detector.yaml")
    assert settings.shares["vlm_attacks"].rows > 0
