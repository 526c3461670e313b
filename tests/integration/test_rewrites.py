"""The twenty rewrites that the docs show are what the embedded default makes, word for word."""

from __future__ import annotations

import json
from pathlib import Path

from mllm_protector import Protector
from mllm_protector.evaluation.rewrites import flaws
from mllm_protector.types import Action, Exchange, Query

ROOT = Path(__file__).parents[2]
PAIRS = [json.loads(line) for line in (ROOT / "examples" / "rewrites.jsonl").read_text().splitlines()]


def test_they_are_made_again(protector: Protector) -> None:
    found = protector.protect([Exchange(Query(pair["prompt"]), pair["response"]) for pair in PAIRS])
    assert [p.response for p in found] == [pair["rewrite"] for pair in PAIRS]
    assert len(PAIRS) == 20 and all(p.action is Action.DETOXIFY for p in found)
    assert all(p.recheck is not None and p.recheck.harm < protector.policy.threshold for p in found)


def test_they_read_as_texts_and_differ() -> None:
    assert [flaws(pair["rewrite"], pair["response"]) for pair in PAIRS] == [()] * 20
    assert len({pair["rewrite"] for pair in PAIRS}) == 20


def test_the_page_shows_them() -> None:
    page = (ROOT / "docs" / "rewrites.md").read_text()
    for pair in PAIRS:
        for text in (pair["response"], pair["rewrite"]):
            assert "\n".join(f"> {line}".rstrip() for line in text.split("\n")) in page
