"""``mllm-protector cascade``: from labelled answers to a configuration that serves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mllm_protector.assembly import build
from mllm_protector.cli.app import app
from mllm_protector.config import load_config
from mllm_protector.types import Exchange, Query

FIRST = "mllm_protector.testing:ScriptedDetector"
OPTIONS = [
    "--first", FIRST, "--first-option", "words={doubt: 0.5, sure: 0.9}",
    "--second", FIRST, "--second-option", "words={bad: 0.95}", "--max-escalation", "0.6",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the first is in doubt only the second sees what is bad."""
    kinds = [("sure", True), ("doubt bad", True), ("doubt good", False), ("fine", False)]
    rows = [
        {"prompt": f"question {n}", "response": text, "harmful": harmful}
        for n in range(40)
        for text, harmful in kinds
    ]
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["cascade", *map(str, arguments)])
    return result.exit_code, result.output


def test_a_band_is_chosen_told_and_written(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "guard.yaml"
    code, output = run(data, *OPTIONS, "--cost-ratio", "100", "-o", out)
    assert code == 0, output
    assert "60.0 % *" in output and "second costs 100.0" in output
    options = yaml.safe_load(out.read_text())["detector"]["options"]
    assert options["low"] == options["high"] == 0.5 and options["fallback"] == "error"
    detector = build(load_config(out)).detector
    harms = [d.harm for d in detector.detect([Exchange(Query("q"), text) for text in ("doubt bad", "doubt")])]
    assert harms == [0.95, 0.01]
    assert run(data, *OPTIONS, "--cost-ratio", "100", "-o", out)[0] == 8
    assert run(data, *OPTIONS, "--cost-ratio", "100", "-o", out, "--overwrite")[0] == 0


def test_scores_are_kept_and_taken_up(data: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.jsonl"

    def kept() -> list[str]:
        return [line for line in scores.read_text().splitlines() if line]

    assert run(data, *OPTIONS, "--scores", scores)[0] == 0
    assert len(kept()) == 2 * 160
    scores.write_text("\n".join(kept()[:200]) + '\n{"key": "half a l')
    code, output = run(data, *OPTIONS, "--scores", scores, "--cost-ratio", "3", "--json")
    assert code == 0 and json.loads(output)["cost_ratio"] == 3
    assert len(kept()) == 2 * 160 + 1
    code, output = run(data, *OPTIONS, "--scores", scores)
    assert code == 3 and "give --cost-ratio" in output
    other = [*OPTIONS, "--second-option", "otherwise=0.2"]  # other options, other scores
    assert run(data, *other, "--scores", scores, "--cost-ratio", "3")[0] == 0
    assert len(kept()) == 3 * 160 + 1


def test_bad_input_is_told(data: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "nothing.jsonl", *OPTIONS)[0] == 3
    unlabelled = tmp_path / "unlabelled.jsonl"
    unlabelled.write_text('{"prompt": "q", "response": "a"}\n')
    code, output = run(unlabelled, *OPTIONS)
    assert code == 3 and "line 1" in output and "harmful" in output
    assert run(data, "--second", "qwen4guard")[0] == 4
    code, output = run(data, *OPTIONS, "--fallback", "maybe")
    assert code == 2 and "error or first" in output
    code, output = run(data, *OPTIONS, "--second-option", "words")
    assert code == 2 and "KEY=VALUE" in output


def test_no_band_writes_nothing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "guard.yaml"
    useless = ["--first", FIRST, "--first-option", "words={bad: 0.9, sure: 0.9}", "--second", FIRST]
    code, output = run(data, *useless, "--cost-ratio", "1", "-o", out)
    assert code == 3 and "nothing is written" in output and not out.exists()
