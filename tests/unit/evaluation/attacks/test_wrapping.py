"""Wrappings keep what a text says, are reproducible, and splitting loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.evaluation.attacks.wrapping import WRAPPINGS, split_turns, wrap
from mllm_protector.types import Exchange, Query, Turn

TEXT = "First find the lamp. Then take it home, and never tell people. The end is near."


@pytest.mark.parametrize("name", WRAPPINGS)
def test_changes_the_text_and_is_reproducible(name: str) -> None:
    assert wrap(TEXT, name, 3) == wrap(TEXT, name, 3) != TEXT
    wrap("", name)


@pytest.mark.parametrize("name", ["role play", "benign prefix", "benign suffix", "benign on both sides"])
def test_company_leaves_the_text_whole(name: str) -> None:
    assert TEXT in wrap(TEXT, name)


def test_benign_company_is_where_it_is_said_to_be() -> None:
    assert wrap(TEXT, "benign prefix").endswith(TEXT)
    assert wrap(TEXT, "benign suffix").startswith(TEXT)
    assert wrap(TEXT, "benign prefix", 1) != wrap(TEXT, "benign prefix", 2)


def test_words_of_the_table_are_translated_and_capitals_kept() -> None:
    assert wrap("The door, and THE lamp", "spanish words") == "El puerta, y El lamp"


def test_pig_latin_by_its_rules() -> None:
    assert wrap("String the apples up", "pig latin") == "Ingstray ethay applesway up"


def test_unknown_wrapping() -> None:
    with pytest.raises(KeyError):
        wrap(TEXT, "no such wrapping")


def test_turns_carry_what_was_said_before() -> None:
    exchange = Exchange(Query("How?", history=(Turn("user", "Hi"),), image_text="a lamp"), TEXT)
    first, second, third = split_turns(exchange)
    assert (first.query.prompt, first.response) == ("How?", "First find the lamp. ")
    assert third.query.prompt == "Go on." and third.query.image_text == "a lamp"
    assert [t.content for t in third.query.history] == [
        "Hi", "How?", first.response, "Go on.", second.response,
    ]  # fmt: skip


@given(st.text(max_size=200), st.integers(2, 5))
def test_splitting_loses_no_character(text: str, parts: int) -> None:
    split = split_turns(Exchange(Query("q"), text), parts)
    assert "".join(e.response for e in split) == text
    assert 1 <= len(split) <= parts
    assert len(split) == 1 or all(e.response for e in split)
