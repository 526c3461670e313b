"""Judgements in words."""

from __future__ import annotations

import pytest

from mllm_protector.cli.render import category_name, describe_protection, excerpt, plain, top_categories
from mllm_protector.types import Action, Detection, Exchange, Protection, Query


def test_a_category_is_shown_with_its_name() -> None:
    assert category_name("S2") == "S2 Non-violent crimes"
    assert category_name("health-advice") == "Unqualified health advice"
    assert category_name("of-a-plugin") == "of-a-plugin"


def test_only_categories_worth_it_are_shown_worst_first() -> None:
    assert top_categories({"S1": 0.05, "S2": 0.3, "S3": 0.9}) == [("S3", 0.9), ("S2", 0.3)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\ufffd[31mb"),
        ("a\u202eb", "a\ufffdb"),
        ("a\ud800", "a\ufffd"),
        ("é\n\t猫🐈", "é\n\t猫🐈"),
    ],
)
def test_what_steers_a_terminal_is_replaced(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_an_excerpt_is_one_line_of_a_given_width() -> None:
    assert excerpt("a\n\n b", 10) == "a b"
    assert excerpt("word " * 100, 20) == "word word word wo..."
    assert len(excerpt("x" * 10_000_000, 50)) == 50


def test_an_error_on_the_way_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    exchange = Exchange(Query("p"), "r")
    describe_protection(
        Protection(
            exchange, Action.REFUSE, "no", error="detector: RuntimeError", reason="could not be judged"
        )
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "refuse; could not be judged\nnote: detector: RuntimeError\n"


def test_a_recheck_is_shown_behind_the_harm(capsys: pytest.CaptureFixture[str]) -> None:
    exchange = Exchange(Query("p"), "r")
    describe_protection(
        Protection(
            exchange, Action.DETOXIFY, "ok", Detection(0.9), Detection(0.1), reason="why", hazards=("S1",)
        )
    )
    assert capsys.readouterr().err == "detoxify; harm 0.90 -> 0.10; why; S1 Violent crimes\n"
