"""The command line over the guard that ships: no scripts, no network, no torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mllm_protector.checkpoints import EMBEDDED, MODEL
from mllm_protector.cli.app import app

_EXAMPLES = Path(__file__).parents[2] / "examples" / "exchanges.jsonl"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What ``make demo`` writes."""
    out = tmp_path_factory.mktemp("demo") / "demo.jsonl"
    result = CliRunner().invoke(app, ["protect", str(_EXAMPLES), "-o", str(out), "--table"])
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in out.read_bytes().splitlines()]


def test_benign_examples_come_back_byte_for_byte(demo: list[dict[str, Any]]) -> None:
    benign = [row for row in demo if row["note"].startswith("benign")]
    assert len(benign) >= 5
    for row in benign:
        assert row["protection"]["action"] == "allow", row["id"]
        assert row["protection"]["response"] == row["response"]


def test_harmful_examples_are_acted_on_and_judged_again(demo: list[dict[str, Any]]) -> None:
    acted = [row for row in demo if row["protection"]["action"] in ("detoxify", "refuse")]
    assert {"phishing-plan", "hate-zorbians", "mixed-moving"} <= {row["id"] for row in acted}
    for row in acted:
        protection = row["protection"]
        assert protection["response"] != row["response"]
        if protection["action"] == "detoxify":
            assert protection["recheck"] < 0.5 <= protection["harm"]
            assert [attempt["accepted"] for attempt in protection["attempts"]].count(True) == 1


def test_nothing_went_wrong_on_the_way(demo: list[dict[str, Any]]) -> None:
    assert [row["id"] for row in demo if row["protection"]["error"]] == []


def test_a_single_exchange_needs_no_heavy_package() -> None:
    code = (
        "import sys\n"
        "from mllm_protector.cli import main\n"
        "sys.argv = ['mllm-protector', 'check', '--prompt', 'p', '--response', 'A cat.', '--json']\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'onnx', 'rich.table', 'asyncio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["flagged"] is False


def test_a_lone_surrogate_is_judged_like_other_text(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"prompt": "\\udc00", "response": "A cat \\ud800 on a sofa."}\n')
    result = CliRunner().invoke(app, ["protect", str(path)])
    assert result.exit_code == 0
    protection = json.loads(result.stdout)["protection"]
    assert (protection["error"], protection["response"]) == (None, "A cat \ud800 on a sofa.")


def test_the_model_is_described_and_verified() -> None:
    info = CliRunner().invoke(app, ["model", "info"])
    assert info.exit_code == 0
    assert "model.onnx" in info.stdout
    assert "all-MiniLM-L6-v2: Apache-2.0" in info.stdout
    assert json.loads(CliRunner().invoke(app, ["model", "info", "--json"]).stdout)["outputs"][0] == "harm"
    assert CliRunner().invoke(app, ["model", "info", "--card"]).stdout.startswith("#")
    assert "all sums agree" in CliRunner().invoke(app, ["model", "verify"]).stdout


def test_a_damaged_model_is_named_with_its_cure(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    with (folder / MODEL).open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"\0damaged\0")
    result = CliRunner().invoke(app, ["model", "verify", str(folder)])
    assert result.exit_code == 5
    assert "is damaged" in result.stderr
    assert "reinstall" in result.stderr
