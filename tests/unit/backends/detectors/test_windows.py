"""Chunks and windows cover everything, and windows lead back to their characters."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.backends.detectors.windows import CHUNK, Place, cut_chunks, locate, stream_windows
from mllm_protector.prompts import PairTemplate, Window, pair_windows

_SMALL = PairTemplate(max_length=24, prompt_tokens=6, overlap=4)


@given(st.text(alphabet="ab \n", max_size=300), st.integers(410, 600))
def test_chunks_partition_the_text(text: str, longest: int) -> None:
    text *= 10
    chunks = cut_chunks(text, longest)
    assert "".join(text[c.start : c.end] for c in chunks) == text
    assert all(c.end - c.start <= longest for c in chunks)


def test_chunks_end_at_spaces() -> None:
    text = "word " * 2000
    assert all(text[c.end - 1] == " " and c.end - c.start > CHUNK // 2 for c in cut_chunks(text))


@given(st.integers(0, 2000), st.integers(0, 6))
def test_stream_is_pair_windows(tokens: int, asked: int) -> None:
    a_ids, b_ids = list(range(asked)), array("i", range(1000, 1000 + tokens))
    assert list(stream_windows(a_ids, b_ids, _SMALL)) == pair_windows(a_ids, list(b_ids), _SMALL)


def test_locate_rounds_outwards() -> None:
    chunks = [Place(0, 10), Place(10, 20), Place(20, 30)]
    first_tokens = [0, 4, 8]
    assert locate(Window((), (), 0, 4), chunks, first_tokens) == Place(0, 10)
    assert locate(Window((), (), 3, 5), chunks, first_tokens) == Place(0, 20)
    assert locate(Window((), (), 8, 12), chunks, first_tokens) == Place(20, 30)
