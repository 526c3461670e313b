"""Before and after, word by word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.cli.word_diff import Part, word_diff

TEXT = st.text(alphabet="ab .\n", max_size=60)


def test_a_sentence_that_went() -> None:
    before = "Keep this first sentence here. Drop that one. Keep the very last sentence too."
    after = "Keep this first sentence here. Keep the very last sentence too."
    assert (
        "".join(p.text for p in word_diff(before, after) if p.kind == "gone").strip(". ") == "Drop that one"
    )


def test_texts_with_little_in_common_are_shown_one_after_the_other() -> None:
    assert word_diff("One two three.", "Quite something else!") == [
        Part("gone", "One two three."), Part("new", "Quite something else!"),
    ]  # fmt: skip


def test_long_texts_are_quick() -> None:
    before = "".join(f"Sentence number {n} is here. " for n in range(3000))
    parts = word_diff(before, before.replace("number 70 ", "number seventy "))
    assert [p.kind for p in parts] == ["same", "gone", "new", "same"]


@given(TEXT, TEXT)
def test_both_texts_can_be_read_off(before: str, after: str) -> None:
    parts = word_diff(before, after)
    assert "".join(p.text for p in parts if p.kind != "new") == before
    assert "".join(p.text for p in parts if p.kind != "gone") == after
