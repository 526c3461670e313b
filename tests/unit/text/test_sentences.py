"""Sentence segmentation: an exact partition, and the rules that decide where it cuts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.text.sentences import LONGEST_PIECE, sentences, split_sentences

_PIECES = st.lists(
    st.sampled_from(
        [
            "word",
            " ",
            "\n",
            ". ",
            "...",
            "! ",
            "。",
            "```\n",
            "~~~",
            "1. ",
            "e.g. ",
            '"',
            "x" * 450,
            "\ud800",
            "é",
        ]
    ),
    max_size=60,
).map("".join)


@given(st.one_of(st.text(max_size=200), _PIECES))
def test_partition(text: str) -> None:
    bounds = sentences(text)
    assert "".join(text[start:end] for start, end in bounds) == text
    assert all(start < end for start, end in bounds)
    assert [start for start, _ in bounds[1:]] == [end for _, end in bounds[:-1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("One. Two! Three?", ["One. ", "Two! ", "Three?"]),
        ("Mr. Smith paid 3.5 dollars, e.g. in the U.S. market. Good.", None),
        ("1. Mix it.\n2. Stir it.\n\n- a\n- b", ["1. Mix it.\n", "2. Stir it.\n\n", "- a\n", "- b"]),
        ("这是一句。还有一句！“真的吗？”是的。", ["这是一句。", "还有一句！", "“真的吗？”", "是的。"]),
        ("See:\n```py\na. b. c\n```\nDone. End", ["See:\n", "```py\na. b. c\n```\n", "Done. ", "End"]),
        ("```\nnever closed. Two.", ["```\n", "never closed. ", "Two."]),
        ("all lower. still two.", ["all lower. ", "still two."]),
        ("Well . . . . then", ["Well . . . . ", "then"]),
    ],
)
def test_rules(text: str, expected: list[str] | None) -> None:
    if expected is None:
        expected = ["Mr. Smith paid 3.5 dollars, e.g. in the U.S. market. ", "Good."]
    assert split_sentences(text) == expected


def test_text_without_ends_is_cut_at_spaces() -> None:
    pieces = split_sentences("word " * 1000)
    assert all(len(piece) <= LONGEST_PIECE and piece.endswith(" ") for piece in pieces)


@pytest.mark.parametrize("piece", ["word ", "x", "a\n", ". ", "!", "```\n", '."', " ", "\n"])
def test_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.process_time()
    assert sum(end - start for start, end in sentences(text)) == len(text)
    assert time.process_time() - began < 5.0  # 10 MB takes up to 6 s here; quadratic would take minutes
