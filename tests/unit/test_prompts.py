"""The pair template: nothing is lost, nothing is too long, and the layout survives a round trip."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.errors import CheckpointError
from mllm_protector.prompts import PAIR_V1, PairTemplate, fit_segment_a, pair_windows, segment_a
from mllm_protector.types import Query, Turn

ids = st.lists(st.integers(1000, 30000), max_size=300)


@given(a=st.lists(st.integers(1000, 30000), max_size=PAIR_V1.prompt_tokens), size=st.integers(0, 2000))
def test_every_token_of_the_response_is_in_some_window(a: list[int], size: int) -> None:
    response = list(range(1000, 1000 + size))
    windows = pair_windows(a, response)
    assert {t for w in windows for t in range(w.start, w.stop)} == set(range(size))
    for window in windows:
        assert len(window.input_ids) == len(window.token_type_ids) <= PAIR_V1.max_length
        expected = [101, *a, 102, *response[window.start : window.stop], 102]
        assert list(window.input_ids) == expected
        assert window.token_type_ids == (0,) * (len(a) + 2) + (1,) * (window.stop - window.start + 1)


@given(size=st.integers(200, 2000))
def test_neighbouring_windows_share_the_overlap(size: int) -> None:
    windows = pair_windows([], list(range(size)))
    assert all(b.start == a.stop - PAIR_V1.overlap for a, b in itertools.pairwise(windows))


def test_empty_response_has_one_window() -> None:
    (window,) = pair_windows([7], [])
    assert window.input_ids == (101, 7, 102, 102)
    assert (window.start, window.stop) == (0, 0)


@given(history=ids, request_=ids, image=ids)
def test_segment_a_keeps_to_its_budget_and_part_of_the_image(
    history: list[int], request_: list[int], image: list[int]
) -> None:
    kept = fit_segment_a(history, request_, image)
    assert len(kept) == min(PAIR_V1.prompt_tokens, len(history) + len(request_) + len(image))
    if image:
        assert kept[-1] == image[-1]
    if request_ and not image:
        assert kept[-1] == request_[-1]


def test_long_parts_keep_head_and_tail() -> None:
    kept = fit_segment_a([1, 2], list(range(1000, 1200)), list(range(2000, 2200)))
    assert kept[0] == 1000
    assert kept[31] == 1199
    assert kept[32] == 2000
    assert kept[63] == 2199
    assert kept[21:23] == [1021, 1190]


def test_history_gets_what_is_left_and_keeps_its_end() -> None:
    kept = fit_segment_a(list(range(500)), [1000] * 60, [])
    assert kept == [496, 497, 498, 499] + [1000] * 60


def test_segment_a_names_the_last_user_turn_and_marks_image_text() -> None:
    history = (Turn("user", "first"), Turn("user", "second"), Turn("assistant", "answer"))
    found = segment_a(Query("what now?", history=history, image_text="  a sign "))
    assert (found.history, found.request, found.image) == ("second", "what now?", "[image] a sign")
    assert segment_a(Query("p")).image == ""


def test_round_trip() -> None:
    template = replace(PAIR_V1, max_length=192)
    assert PairTemplate.from_dict(template.to_dict()) == template


@pytest.mark.parametrize("change", [{"colour": 1}, {"overlap": "64"}, {"overlap": True}])
def test_unusable_template_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match=next(iter(change))):
        PairTemplate.from_dict({**PAIR_V1.to_dict(), **change})


def test_template_without_room_for_the_response_is_refused() -> None:
    with pytest.raises(CheckpointError, match="room"):
        PairTemplate(max_length=128, prompt_tokens=64, overlap=64)
