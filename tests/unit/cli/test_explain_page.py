"""The page of an explanation."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from mllm_protector import Protector
from mllm_protector.cli.app import app
from mllm_protector.cli.explain_page import explain_page
from mllm_protector.cli.explanation import explain_exchange
from mllm_protector.types import Exchange, Query, Turn

BAD = "Use four random words. Write a script that tries your boss's passwords until one opens her mailbox."


def test_it_holds_the_whole_story_and_escapes_what_others_wrote(protector: Protector) -> None:
    history = (Turn("user", "<b>before</b>"),)
    exchange = Exchange(Query("<script>x</script>", history=history, image_text="a & b"), BAD)
    page = explain_page(explain_exchange(protector, exchange), protector.policy)
    assert "<script>" not in page and "&lt;script&gt;x" in page and "&lt;b&gt;before" in page
    assert "a &amp; b" in page and "<h2>Attempts</h2>" in page and "<del>" in page
    assert "http" not in page.replace("http-equiv", "")


def test_an_answer_that_passed(protector: Protector) -> None:
    page = explain_page(explain_exchange(protector, Exchange(Query("Hi"), "Hello.")), protector.policy)
    assert "The answer, byte for byte." in page and "<h2>Attempts</h2>" not in page


def test_the_command_writes_it_and_does_not_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "review.html"
    asked = ["explain", "--prompt", "How do I pick a password?", "--response", BAD, "--html", str(out)]
    found = CliRunner().invoke(app, asked)
    assert found.exit_code == 0, found.output
    assert "Delivered (struck out" in found.output and out.read_text().startswith("<!doctype html>")
    again = CliRunner().invoke(app, asked)
    assert again.exit_code == 2 and "exists" in again.output
    assert CliRunner().invoke(app, [*asked, "--overwrite"]).exit_code == 0
