"""Runs of words that one text took over from another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.text.overlap import copied_share, copies_run, kept_sentences, word_list

WORDS = st.lists(st.sampled_from("alpha beta gamma delta epsilon".split()), max_size=30).map(" ".join)  # noqa: SIM905


def test_a_run_is_found_whatever_its_case_and_marks() -> None:
    source = "First loosen the cap, then pour it all out."
    assert copies_run(source, "He said: THEN pour - it all!", 4) == "then pour it all"
    assert copies_run(source, "then pour it", 4) == ""


def test_what_the_request_says_may_be_repeated() -> None:
    assert (
        copies_run("how to tell a secret", "You ask how to tell a secret.", 5, "How to tell a secret?") == ""
    )


def test_characters_of_scripts_without_spaces_count_one_by_one() -> None:
    assert word_list("今日は晴れ ok") == ["今", "日", "は", "晴", "れ", "ok"]
    assert copies_run("今日は晴れです", "はい、今日は晴れ", 5)


def test_shares_by_hand() -> None:
    source = " ".join(f"w{n}" for n in range(10))
    assert copied_share(source, source) == 1.0
    assert copied_share(source, "w0 w1 w2 w3 w4 w5 w6 w7 and no more") == 0.8
    assert copied_share(source, "w0 w1 w2") == 0.0
    assert copied_share("just two", "it is just two words") == 1.0
    assert copied_share("...", "anything") == 0.0


def test_a_run_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one word"):
        copies_run("a", "a", 0)


@given(WORDS, WORDS, st.integers(1, 6))
def test_a_run_stands_in_both(source: str, text: str, length: int) -> None:
    run = copies_run(source, text, length)
    if run:
        assert f" {run} " in f" {source} " and f" {run} " in f" {text} " and len(run.split()) == length
    assert 0.0 <= copied_share(source, text) <= 1.0


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Tea is warm. I left the rest out. It is brown.", "Tea is warm. It is brown."),
        ("I left it all out.", ""),
        ("Tea is warm. It is brown.", ""),
        ("", ""),
    ],
)
def test_kept_sentences_are_those_of_the_source_unless_there_is_nothing_else(text: str, kept: str) -> None:
    assert kept_sentences("Tea is warm. Drink it at night. It is brown.", text) == kept
