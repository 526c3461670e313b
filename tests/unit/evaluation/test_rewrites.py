"""Measures of rewrites by rules."""

from __future__ import annotations

import pytest

from mllm_protector.evaluation.rewrites import distinct_share, flaws, kept_share


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("1. One thing.\n3. Another thing.", "list numbers"),
        ("1. One thing.\n2.\n", "empty item"),
        ("All was well, and then,", "half sentence"),
        ("However, it is late.", "dangling opening"),
        ("They went home.", "dangling pronoun"),
        ("```\nx = 1\n", "open code block"),
        ("This is **bold.", "open bold"),
        ("It was a very good day. It was a very good day.", "sentence twice"),
        ("no no no", "word thrice"),
    ],
)
def test_signs_of_a_text_that_does_not_read_as_one(text: str, flaw: str) -> None:
    assert flaw in flaws(text)
    assert flaws(text, text) == ()  # what the original had is not the rewrite's fault


def test_a_good_text_has_none() -> None:
    assert flaws("First, breathe.\n\n1. Sit.\n2. Rest.\n\n(Part was left out.)") == ()


def test_kept_sentences() -> None:
    original = "Plan the whole week. Buy what you need. Freeze what is left over."
    assert kept_share(original, "Plan the whole week. Freeze what is left over.") == pytest.approx(2 / 3)
    assert kept_share("", "Anything.") == 1.0


def test_distinct_texts_per_group() -> None:
    assert distinct_share(["a", "a", "b"], ["x", "x", "y"]) == {"x": 0.5, "y": 1.0}
    with pytest.raises(ValueError, match="zip"):
        distinct_share(["a"], [])
