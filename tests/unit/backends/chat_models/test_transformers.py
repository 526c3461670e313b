"""Real architectures, tiny and random: LLaVA and Llama."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from tests.tiny_models import SIDE, save_tiny_llama, save_tiny_llava

from mllm_protector.backends.chat_models.transformers import TransformersChatModel
from mllm_protector.errors import BackendError, CheckpointError, ConfigError
from mllm_protector.interfaces import ChatModel, WhiteBoxModel
from mllm_protector.types import Image, Query, Turn

TARGET = "Yes."


def picture(colour: str = "red", size: tuple[int, int] = (50, 40)) -> Image:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size, colour).save(buffer, "PNG")
    return Image(buffer.getvalue(), "image/png")


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> TransformersChatModel:
    folder = save_tiny_llava(tmp_path_factory.mktemp("llava"))
    return TransformersChatModel(str(folder), max_new_tokens=8)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> TransformersChatModel:
    folder = save_tiny_llama(tmp_path_factory.mktemp("llama"), template=False)
    return TransformersChatModel(str(folder), max_new_tokens=8)


def test_it_fits_both_sockets(llava: TransformersChatModel) -> None:
    assert isinstance(llava, ChatModel) and isinstance(llava, WhiteBoxModel)


def test_a_batch_gives_what_each_gives_alone(llava: TransformersChatModel) -> None:
    earlier = (Turn("user", "a"), Turn("assistant", "b"))
    queries = [
        Query("hello"),
        Query("what is it?", (picture(),)),
        Query("both?", (picture(), picture("blue"))),
        Query("a much longer question without any picture", history=earlier),
        Query("", (picture("green"),)),
    ]
    together = llava.generate(queries)
    assert together == [llava.generate([query])[0] for query in queries]
    assert together[1] != llava.generate([Query("what is it?", (picture("blue"),))])[0]  # it sees
    assert llava.generate([]) == []


def test_text_only_models_answer_and_say_that_they_see_nothing(llama: TransformersChatModel) -> None:
    queries = [Query("hello"), Query("a much longer one")]
    assert llama.generate(queries) == [llama.generate([query])[0] for query in queries]
    with pytest.raises(BackendError, match="sees no images"):
        llama.generate([Query("what is it?", (picture(),))])
    with pytest.raises(BackendError, match="sees no images"):
        llama.picture_size()


def test_likelihoods_are_those_of_the_chain_rule(llama: TransformersChatModel) -> None:
    """log p(ab) = log p(a) + log p(b | a), where letters are tokens."""
    (whole,) = llama.log_likelihood([Query("q")], ["ab"])
    (first,) = llama.log_likelihood([Query("q")], ["a"])
    ids = llama._tokenizer(llama._prompt(Query("q"), 0) + "a", return_tensors="pt")
    with torch.inference_mode():
        logits = llama._model(ids.input_ids).logits[0, -1]
    second = torch.log_softmax(logits, -1)[llama._tokenizer.convert_tokens_to_ids("b")]
    assert whole.tokens == 2
    assert whole.total == pytest.approx(first.total + float(second), abs=1e-4)
    assert whole.nll == pytest.approx(-whole.total / 2)


def test_likelihoods_see_the_picture(llava: TransformersChatModel) -> None:
    queries = [Query("q"), Query("q", (picture(),)), Query("q", (picture("blue"),))]
    totals = [found.total for found in llava.log_likelihood(queries, [TARGET] * 3)]
    assert len(set(totals)) == 3 and all(total < 0 for total in totals)
    with pytest.raises(BackendError, match="without tokens"):
        llava.log_likelihood([Query("q")], [""])


def test_the_gradient_is_that_of_the_loss(llava: TransformersChatModel) -> None:
    assert llava.picture_size() == (SIDE, SIDE)
    pixels = (np.random.default_rng(0).integers(20, 236, (SIDE, SIDE, 3)) / 255).astype(np.float32)
    loss, gradient = llava.gradient(Query("q"), pixels, TARGET)
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(buffer, "PNG")
    (same,) = llava.log_likelihood([Query("q", (Image(buffer.getvalue(), "image/png"),))], [TARGET])
    assert loss == pytest.approx(same.nll, abs=1e-4)
    direction = np.sign(gradient).astype(np.float32)
    step = 1e-3
    up, _ = llava.gradient(Query("q"), pixels + step * direction, TARGET)
    down, _ = llava.gradient(Query("q"), pixels - step * direction, TARGET)
    assert (up - down) / (2 * step) == pytest.approx(float(np.abs(gradient).sum()), rel=0.05)


def test_a_picture_of_another_size_is_turned_away(llava: TransformersChatModel) -> None:
    with pytest.raises(BackendError, match="one to one"):
        llava.gradient(Query("q"), np.zeros((SIDE, 2 * SIDE, 3), np.float32), TARGET)


def test_sampling_follows_the_seed(tmp_path: Path) -> None:
    folder = str(save_tiny_llama(tmp_path))
    said = [
        TransformersChatModel(folder, max_new_tokens=8, temperature=1.0, seed=seed).generate([Query("hi")])
        for seed in (1, 1, 2)
    ]
    assert said[0] == said[1] != said[2]


def test_bad_input_is_told(tmp_path: Path, llava: TransformersChatModel) -> None:
    with pytest.raises(CheckpointError, match="cannot load the model"):
        TransformersChatModel(str(tmp_path))
    with pytest.raises(ConfigError, match="dtype"):
        TransformersChatModel(str(tmp_path), dtype="int3")
    with pytest.raises(ConfigError, match="CUDA"):
        TransformersChatModel(str(tmp_path), device="cpu", four_bit=True)
    with pytest.raises(BackendError, match="cannot be read"):
        llava.generate([Query("q", (Image(b"\x89PNG broken", "image/png"),))])


def test_next_tokens_are_those_of_the_likelihood(
    llava: TransformersChatModel, llama: TransformersChatModel
) -> None:
    """log p of a letter as the first token is its likelihood, in a padded batch and with pictures."""
    queries = [Query("q"), Query("a much longer question"), Query("q", (picture(),))]
    rows = llava.next_tokens(queries)
    assert rows.shape == (3, len(llava.tokenizer))
    assert np.exp(rows).sum(axis=1) == pytest.approx(np.ones(3), abs=1e-4)
    letter = llava.tokenizer.convert_tokens_to_ids("b")
    expected = [found.total for found in llava.log_likelihood(queries, ["b"] * 3)]
    assert rows[:, letter] == pytest.approx(np.array(expected), abs=1e-3)
    assert not np.allclose(rows[0], rows[2])  # it sees
    with pytest.raises(BackendError, match="over the model's 2048; give it less text"):
        llama.next_tokens([Query("x" * 3000)])
