"""Relevance against cases counted by hand."""

from __future__ import annotations

import pytest

from mllm_protector.text.relevance import relevance


def test_share_of_content_words() -> None:
    # content words: paint (paint), fence (fence), quickly (quick); two of three are spoken of
    assert relevance("How to paint a fence quickly?", "Painting the fences takes time.") == pytest.approx(
        2 / 3
    )
    assert relevance("paint", "Paint it.") == 1.0
    assert relevance("paint", "No.") == 0.0


def test_a_request_of_common_words_has_none() -> None:
    assert relevance("What is this in the image?", "A fence.") is None
