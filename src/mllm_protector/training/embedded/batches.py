"""From examples to padded tensors, in an order that depends on the seed alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch import Tensor

from mllm_protector.checkpoints import OUTPUTS
from mllm_protector.prompts import PairTemplate, SegmentA, Window, fit_segment_a, pair_windows, segment_a
from mllm_protector.training.embedded.categories import CODES
from mllm_protector.training.embedded.examples import Example
from mllm_protector.types import Query, Turn

__all__ = ["Batch", "Encoded", "collate", "encode", "length_buckets", "windows_of"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example and the one window of it that is trained on."""

    example: Example
    window: Window


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of one step.

    Attributes:
        input_ids: [n, t] int64.
        attention_mask: [n, t] int64.
        token_type_ids: [n, t] int64.
        targets: [n, outputs] in [0, 1].
        weights: [n, outputs]; 0 where the label is unknown.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    targets: Tensor
    weights: Tensor


def windows_of(
    examples: Sequence[Example], tokenizer: Tokenizer, template: PairTemplate
) -> list[list[Window]]:
    """All windows of each example."""
    parts = [_segment(example, template) for example in examples]
    history = _ids(tokenizer, [p.history for p in parts])
    request = _ids(tokenizer, [p.request for p in parts])
    image = _ids(tokenizer, [p.image for p in parts])
    response = _ids(tokenizer, [e.response for e in examples])
    return [
        pair_windows(fit_segment_a(h, r, i, template), b, template)
        for h, r, i, b in zip(history, request, image, response, strict=True)
    ]


def encode(
    examples: Sequence[Example], tokenizer: Tokenizer, template: PairTemplate, rng: random.Random
) -> list[Encoded]:
    """One window per example: the first, or for half of the long harmless responses any."""
    result = []
    for example, windows in zip(examples, windows_of(examples, tokenizer, template), strict=True):
        anywhere = rng.random() < 0.5 and (example.harm or 0.0) < 0.5
        result.append(Encoded(example, rng.choice(windows) if anywhere else windows[0]))
    return result


def length_buckets(lengths: Sequence[int], size: int, rng: random.Random) -> list[list[int]]:
    """Indices in batches of about equal length, in random order, each index once."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    pool = size * 32
    batches = []
    for i in range(0, len(order), pool):
        chunk = sorted(order[i : i + pool], key=lengths.__getitem__)
        batches += [chunk[j : j + size] for j in range(0, len(chunk), size)]
    rng.shuffle(batches)
    return batches


def collate(rows: Sequence[Encoded], pad_id: int, smoothing: float, auxiliary: float) -> Batch:
    """Pad to the longest of ``rows`` and lay out targets and weights.

    Args:
        rows: what to put together.
        pad_id: id that fills up.
        smoothing: moves hard harm targets this far towards 0.5.
        auxiliary: weight of the category and advice heads against the harm head.
    """
    longest = max(len(row.window.input_ids) for row in rows)
    shape = (len(rows), longest)
    ids, mask, types = (torch.full(shape, fill, dtype=torch.int64) for fill in (pad_id, 0, 0))
    targets, weights = (torch.zeros(len(rows), len(OUTPUTS)) for _ in range(2))
    for i, row in enumerate(rows):
        n = len(row.window.input_ids)
        ids[i, :n] = torch.tensor(row.window.input_ids)
        types[i, :n] = torch.tensor(row.window.token_type_ids)
        mask[i, :n] = 1
        example = row.example
        if example.harm is not None:
            targets[i, 0] = example.harm * (1 - smoothing) + smoothing / 2
            weights[i, 0] = example.weight
        for j, name in enumerate(OUTPUTS[1:], 1):
            known = example.category if name in CODES else example.advice
            if known is not None:
                targets[i, j] = float(name in known)
                weights[i, j] = auxiliary
    return Batch(ids, mask, types, targets, weights)


def training_template(template: PairTemplate, tokens: int) -> PairTemplate:
    """The same layout with shorter windows, which train faster."""
    length = min(tokens, template.max_length)
    room = max(2, length - 3 - template.prompt_tokens)
    return replace(template, max_length=length, overlap=min(template.overlap, room // 2))


def _segment(example: Example, template: PairTemplate) -> SegmentA:
    turns = (Turn("user", example.history),) if example.history else ()
    return segment_a(Query(example.prompt, history=turns, image_text=example.image_text), template)


def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    return [e.ids for e in tokenizer.encode_batch(clean, add_special_tokens=False)]
