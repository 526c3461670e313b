"""Augmentations of training examples; each takes its randomness as an argument."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mllm_protector.training.embedded.examples import Example, sentences

__all__ = ["cut_prefix", "mixed_answers", "perturb"]

_CARRIERS = ("saferlhf_mini", "safeunlearning", "vlm_attacks", "generated")


def cut_prefix(example: Example, rng: random.Random) -> Example:
    """Now and then the first 40 to 90 % of a long harmful response, as a stream shows it."""
    words = example.response.split(" ")
    if not (example.harm or 0.0) > 0.5 or len(words) < 60 or rng.random() > 0.15:
        return example
    return replace(example, response=" ".join(words[: int(len(words) * rng.uniform(0.4, 0.9))]))


def perturb(example: Example, rng: random.Random) -> Example:
    """Drop the prompt of 10 % (5 % more lose the image text) and spoil the spelling of 6 %."""
    if not example.response.strip():
        return example
    draw = rng.random()
    if draw < 0.10 and example.source not in {"generated", "written"}:
        # Without its request an answer that only agrees ("Sure, go ahead") tells nothing.
        if not (example.harm or 0.0) > 0.5 or len(example.response) > 60:
            example = replace(example, prompt="", image_text="", history="")
    elif draw < 0.15 and example.source == "vlm_attacks":
        example = replace(example, image_text="")
    if rng.random() < 0.06:
        example = replace(example, response=_spoil(example.response, rng))
    return example


def mixed_answers(
    train: Mapping[str, Sequence[Example]], count: int, rng: random.Random, words: int = 90
) -> list[Example]:
    """Ordinary answers with one harmful sentence inserted (two thirds), and single ordinary sentences.

    A sentence counts as harmful if a response labelled harmful consists of it alone, give or take one.
    The ordinary part has at most ``words`` words, so that the inserted sentence stays in the window; the
    request is that of either half, or none.
    """
    pool = train["benign"]
    short = [
        e
        for source in _CARRIERS
        for e in train.get(source, ())
        if (e.harm or 0.0) > 0.9
        and len(sentences(e.response)) <= 2
        and 30 <= len(e.response) <= 300
        and not (source == "generated" and e.image_text)  # harmful only with its picture
    ]
    result = []
    for i in range(count if pool and short else 0):
        host = rng.choice(pool)
        parts = sentences(" ".join(host.response.split(" ")[: rng.randint(words // 6, words)]))
        if i % 3 == 2:
            alone = rng.choice(sentences(host.response) or [""])
            result.append(replace(host, prompt=rng.choice((host.prompt, "")), response=alone))
            continue
        planted = rng.choice(short)
        parts.insert(rng.randint(0, len(parts)), planted.response)
        result.append(
            Example(
                rng.choice((host.prompt, host.prompt, planted.prompt, "")),
                rng.choice((" ", "\n")).join(parts),
                0.95,
                "mixed_answers",
                category=planted.category,
            )
        )
    return [replace(e, source="mixed_answers") for e in result]


def _spoil(text: str, rng: random.Random) -> str:
    """Lower case, no punctuation, or a few swapped letters."""
    kind = rng.randrange(3)
    if kind == 0:
        return text.lower()
    if kind == 1:
        return re.sub(r"[^\w\s]", "", text)
    letters = list(text)
    for _ in range(max(1, len(letters) // 60)):
        i = rng.randrange(max(1, len(letters) - 1))
        letters[i : i + 2] = reversed(letters[i : i + 2])
    return "".join(letters)
