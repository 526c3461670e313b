"""All training examples that are written by code of this project, in one draw per epoch."""

from __future__ import annotations

import random

from mllm_protector.training.embedded.examples import Example
from mllm_protector.training.embedded.hard_negatives import advice_examples, hard_negative_examples
from mllm_protector.training.embedded.situations import situation_examples

__all__ = ["generated_examples"]


def generated_examples(seed: int) -> list[Example]:
    """Situations, look-alikes and advice; twice as many as an epoch takes, so that epochs differ."""
    rng = random.Random(f"{seed}/generated")  # noqa: S311
    return [
        example
        for _ in range(2)
        for example in (*situation_examples(rng), *hard_negative_examples(rng), *advice_examples(rng))
    ]
