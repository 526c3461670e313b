"""What is added to advice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.disclaimers import DISCLAIMERS, disclaimer, with_disclaimer
from mllm_protector.taxonomy import ADVICE
from mllm_protector.text.language import LANGUAGES


def test_each_advice_category_has_its_own_text_in_every_language() -> None:
    assert set(DISCLAIMERS) == set(LANGUAGES)
    for language in LANGUAGES:
        texts = {disclaimer([category.code], language) for category in ADVICE} | {
            disclaimer(["S6"], language)
        }
        assert len(texts) == len(ADVICE) + 1


@pytest.mark.parametrize(
    ("hazards", "said"),
    [
        (("S6", "health-advice"), "doctor"),
        (("legal-advice",), "lawyer"),
        ((), "professional"),
        (("S1",), "professional"),
    ],
)
def test_the_first_advice_category_decides(hazards: tuple[str, ...], said: str) -> None:
    assert said in disclaimer(hazards)


def test_an_unknown_language_gets_english() -> None:
    assert disclaimer((), "xx") == disclaimer((), "en")


@given(st.text())
def test_the_answer_is_kept_and_nothing_is_added_twice(response: str) -> None:
    text = disclaimer(["legal-advice"])
    once = with_disclaimer(response, text)
    assert once.startswith(response)
    assert once.endswith(text)
    assert with_disclaimer(once, text) == once
