"""Reading a response as blocks and units, and writing it back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.backends.detoxifiers.mending import closure, render
from mllm_protector.backends.detoxifiers.passages import read_passage


def kinds(text: str) -> list[str]:
    return [block.kind for block in read_passage(text).blocks]


def test_kinds_of_blocks() -> None:
    text = "# Title\n\nText.\n- item\n1. one\n```\ncode\n```\n\n"
    text += "| a | b |\n|---|---|\n| 1 | 2 |\n\n**Bold line**\n"
    assert kinds(text) == ["heading", "paragraph", "item", "item", "code", "table", "heading"]


def test_a_wrapped_line_does_not_end_a_sentence() -> None:
    passage = read_passage("This sentence is\nwrapped here. Second one.")
    assert [passage.words_of(n) for n in range(2)] == ["This sentence is\nwrapped here.", "Second one."]


def test_a_clock_time_or_a_year_is_no_list_number() -> None:
    assert kinds("3:30 pm is fine.\n2024. A year.") == ["paragraph"]


def test_numbers_of_steps_and_headings_are_renumbered() -> None:
    text = "## Step 1: Wash\nCold.\n\n## Step 2: Gone\nBad.\n\n## Step 3: Dry\nFlat."
    passage = read_passage(text)
    gone = closure(passage, frozenset({2}))
    assert render(passage, gone) == "## Step 1: Wash\nCold.\n\n## Step 2: Dry\nFlat."


def test_a_list_that_is_continued_after_text_keeps_counting() -> None:
    text = "1. a b\n\nText between.\n\n2. gone\n\nMore text.\n\n3. c d"
    passage = read_passage(text)
    unit = next(n for n in range(len(passage.units)) if passage.words_of(n) == "gone")
    assert "2. c d" in render(passage, closure(passage, frozenset({unit})))


def test_a_quotation_goes_as_a_whole() -> None:
    passage = read_passage('He said "Do this. Do that." Then he left. Good night to all.')
    gone = closure(passage, frozenset({0}))
    assert '"' not in render(passage, gone)


@given(st.text(alphabet='ab .:\n-1*#`|\t("“”', max_size=120))
def test_nothing_removed_gives_the_text_back(text: str) -> None:
    passage = read_passage(text)
    assert render(passage, frozenset()).split() == text.split()
    ends = [unit.end for unit in passage.units]
    assert ends == sorted(ends)


@given(st.text(alphabet='ab .:\n-1*#`|\t("“”', max_size=120), st.sets(st.integers(0, 30)))
def test_closure_is_idempotent_and_grows(text: str, chosen: set[int]) -> None:
    passage = read_passage(text)
    removed = frozenset(n for n in chosen if n < len(passage.units))
    once = closure(passage, removed)
    assert removed <= once
    assert closure(passage, once) == once
    render(passage, once)
