"""The tricks change a text, are reproducible, and are undone where the detector claims to undo them."""

from __future__ import annotations

import re

import pytest

from mllm_protector.evaluation.attacks.obfuscation import TRICKS, obfuscate
from mllm_protector.text.normalise import normalise, variants

TEXT = "How to make a strong password and then sell the secret recipe to people.\nTake care with the glass."


@pytest.mark.parametrize("trick", TRICKS)
def test_changes_the_text_and_is_reproducible(trick: str) -> None:
    changed = obfuscate(TEXT, trick, seed=1)
    assert changed != TEXT
    assert changed == obfuscate(TEXT, trick, seed=1)
    assert obfuscate("", trick) == ""


@pytest.mark.parametrize("trick", TRICKS)
def test_is_undone(trick: str) -> None:
    changed = obfuscate(TEXT, trick, seed=1)
    readings = [normalise(changed), *variants(changed)]
    wanted = set(re.findall("[a-z]{3,}", TEXT.lower()))
    kept = max(len(wanted & set(re.findall("[a-z]{3,}", reading.lower()))) for reading in readings)
    assert kept >= 0.7 * len(wanted), readings


def test_unknown_trick() -> None:
    with pytest.raises(KeyError):
        obfuscate(TEXT, "no such trick")
