"""A tiny random Whisper model in the engine's own format, made here: it babbles, but by the real code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

_WIDTH, _HEADS, _MELS = 16, 2, 80
_SPECIAL = [
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>", *(f"<|{n * 0.02:.2f}|>" for n in range(1501)),
]  # fmt: skip


def save_tiny_whisper(folder: Path, seed: int = 0) -> Path:
    """Save a model of one layer each way with its tokenizer; return the folder."""
    folder.mkdir(exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    rng = np.random.default_rng(seed)
    spec = WhisperSpec(1, _HEADS, 1, _HEADS)
    _fill_encoder(spec.encoder, rng)
    _fill_decoder(spec.decoder, rng, tokenizer.get_vocab_size())
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.lang_ids = [tokenizer.token_to_id("<|en|>")]
    spec.config.alignment_heads = [(0, 0)]
    spec.register_vocabulary(sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id))
    spec.validate()
    spec.save(str(folder))
    return folder


def _tokenizer() -> Any:
    vocabulary = {byte: place for place, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(_SPECIAL)
    return tokenizer


def _random(rng: np.random.Generator, *shape: int) -> Any:
    return (rng.standard_normal(shape) * 0.1).astype(np.float32)


def _linear(layer: Any, rng: np.random.Generator, rows: int, columns: int) -> None:
    layer.weight, layer.bias = _random(rng, rows, columns), _random(rng, rows)


def _norm(layer: Any) -> None:
    layer.gamma, layer.beta = np.ones(_WIDTH, np.float32), np.zeros(_WIDTH, np.float32)


def _attention(layer: Any, rng: np.random.Generator, sizes: list[int]) -> None:
    _norm(layer.layer_norm)
    for linear, rows in zip(layer.linear, sizes, strict=True):
        _linear(linear, rng, rows * _WIDTH, _WIDTH)


def _feed_forward(layer: Any, rng: np.random.Generator) -> None:
    _norm(layer.layer_norm)
    _linear(layer.linear_0, rng, 2 * _WIDTH, _WIDTH)
    _linear(layer.linear_1, rng, _WIDTH, 2 * _WIDTH)


def _fill_encoder(encoder: Any, rng: np.random.Generator) -> None:
    for convolution, channels in ((encoder.conv1, _MELS), (encoder.conv2, _WIDTH)):
        convolution.weight, convolution.bias = _random(rng, _WIDTH, channels, 3), _random(rng, _WIDTH)
    encoder.position_encodings.encodings = _random(rng, 1500, _WIDTH)
    _norm(encoder.layer_norm)
    for layer in encoder.layer:
        _attention(layer.self_attention, rng, [3, 1])
        _feed_forward(layer.ffn, rng)


def _fill_decoder(decoder: Any, rng: np.random.Generator, vocabulary: int) -> None:
    decoder.embeddings.weight = decoder.projection.weight = _random(rng, vocabulary, _WIDTH)
    decoder.position_encodings.encodings = _random(rng, 448, _WIDTH)
    decoder.scale_embeddings = False
    _norm(decoder.layer_norm)
    for layer in decoder.layer:
        _attention(layer.self_attention, rng, [3, 1])
        _attention(layer.attention, rng, [1, 2, 1])
        _feed_forward(layer.ffn, rng)
