"""The table of a finished run."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from mllm_protector.cli.table import show_table


def row(number: int, **changes: Any) -> dict[str, Any]:
    protection = {
        "action": "allow",
        "response": "fine",
        "harm": 0.01,
        "recheck": None,
        "categories": {"S2": 0.005},
        "attempts": [],
        "detoxifier": None,
        "error": None,
    }
    return {"id": f"row-{number}", "response": "fine", "protection": {**protection, **changes}}


def shown(tmp_path: Path, rows: list[dict[str, Any]]) -> list[str]:
    out = tmp_path / "out.jsonl"
    out.write_text("".join(json.dumps(r) + "\n" for r in rows))
    console = Console(file=io.StringIO(), width=100)
    show_table(out, console)
    assert isinstance(console.file, io.StringIO)
    return [line.strip() for line in console.file.getvalue().splitlines()]


def test_what_was_left_alone_takes_one_line(tmp_path: Path) -> None:
    lines = shown(tmp_path, [row(1)])
    assert any(line.split() == ["row-1", "allow", "0.01", "fine"] for line in lines)
    assert not any("S2" in line for line in lines)


def test_a_change_is_in_sight_behind_a_long_shared_beginning(tmp_path: Path) -> None:
    shared = "The same words stand at the beginning of both of these long texts. " * 5
    changed = row(
        1, action="detoxify", harm=0.9, recheck=0.1, response=shared + "Good end.", categories={"S2": 0.9}
    )
    changed["response"] = shared + "Bad end."
    text = "\n".join(shown(tmp_path, [changed]))
    for part in ("detoxify", "0.90 → 0.10", "S2 Non-violent crimes", "Bad end.", "Good end."):
        assert part in text


def test_a_flagged_text_and_one_that_was_not_judged(tmp_path: Path) -> None:
    rows = [
        row(1, action="flag", harm=0.6),
        row(2, action="refuse", harm=None, response="no", error="broken"),
    ]
    text = "\n".join(shown(tmp_path, rows))
    assert "(as it was)" in text
    assert "not judged" in text


def test_a_fail_open_answer_that_was_not_judged_is_not_shown_as_judged(tmp_path: Path) -> None:
    text = "\n".join(shown(tmp_path, [row(1, action="allow", harm=None, error="broken", categories={})]))
    assert "not judged" in text


def test_a_long_file_is_cut_and_says_so(tmp_path: Path) -> None:
    lines = shown(tmp_path, [row(i) for i in range(205)])
    assert any("5 more" in line for line in lines)
    assert sum(line.startswith("row-") for line in lines) == 200


def test_text_cannot_write_markup_or_steer_the_terminal(tmp_path: Path) -> None:
    bad = row(1)
    bad["response"] = bad["protection"]["response"] = "[red]x[/red]\x1b[2J"
    text = "\n".join(shown(tmp_path, [bad]))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text
