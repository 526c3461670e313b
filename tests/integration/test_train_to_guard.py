"""From a public set to a guard that keeps a rate of false alarms: train, calibrate, policy, protect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tiny_models import save_tiny_llama
from tests.unit.training.material import SMALL, write_rows
from typer.testing import CliRunner

from mllm_protector.assembly import build, build_detector
from mllm_protector.calibration import CalibratedDetector
from mllm_protector.cli.app import app
from mllm_protector.config import Config
from mllm_protector.errors import ConfigError, PolicyError
from mllm_protector.networks.manifest import load_trained


def beavertails(folder: Path, count: int = 80) -> Path:
    """A folder with a file in the layout of BeaverTails; half of its answers are unsafe."""
    folder.mkdir()
    made = []
    for i in range(count):
        unsafe = bool(i % 2)
        made.append(
            {
                "prompt": f"Ask {i}",
                "response": ("xx" if unsafe else "good") + " zu" * (i % 3),
                "category": {"terrorism,organized_crime": unsafe, "hate_speech,offensive_language": False},
                "is_safe": not unsafe,
            }
        )
    write_rows(folder / "30k_train.jsonl", made)
    return folder


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize("kind", ["detector", "joint"])
def test_a_trained_guard_is_calibrated_and_keeps_its_rate(tmp_path: Path, kind: str) -> None:
    data, base = beavertails(tmp_path / "beavertails"), save_tiny_llama(tmp_path / "base")
    guard, dev = tmp_path / "guard", tmp_path / "dev.jsonl"
    settings = SMALL | {"epochs": 12, "head_lr": 0.03, "max_length": 96}
    settings |= {"rewrite_tokens": 16} if kind == "joint" else {}
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    given: list[str | Path] = ["--data", data]
    if kind == "joint":  # BeaverTails has no safe answers
        pair = {"prompt": "Ask", "response": "xx", "harmful": True, "safe_response": "No."}
        given += ["--data", write_rows(tmp_path / "pairs.jsonl", [pair])]
    run("train", kind, *given, "--base", base, "-o", guard, "-q", *changes)
    assert load_trained(guard).licences["beavertails"] == "CC-BY-NC-4.0"
    run("data", "convert", data, "-o", dev)
    found = guard / "calibration.json"
    run("calibrate", "--data", dev, "--detector", guard, "-o", found, "--method", "platt")

    name = "checkpoint" if kind == "detector" else "joint"
    (tmp_path / "shop.yaml").write_text("target_fpr: 0.1\n")
    (tmp_path / "guard.yaml").write_text(
        f"policy: {tmp_path}/shop.yaml\ndetector: {{name: {name}, options: {{path: {guard}}}}}\n"
        "detoxifiers: [{name: embedded}]\n"
    )
    said = [{"prompt": "Ask 1", "response": "xx zu"}, {"prompt": "Ask 2", "response": "good zu zu"}]
    answers = write_rows(tmp_path / "answers.jsonl", said)
    run("protect", answers, "-o", tmp_path / "safe.jsonl", "--config", tmp_path / "guard.yaml")
    harmful, harmless = map(json.loads, (tmp_path / "safe.jsonl").read_text().splitlines())
    assert harmful["protection"]["action"] != "allow", harmful
    assert harmless["protection"]["action"] == "allow", harmless

    own = Config.model_validate({"detector": {"name": name, "options": {"path": str(guard)}}})
    assert isinstance(build_detector(own), CalibratedDetector)
    other = {"path": str(guard), "dtype": "bfloat16"}
    with pytest.raises(ConfigError, match="with other weights or settings"):
        build_detector(Config.model_validate({"detector": {"name": name, "options": other}}))
    off = own.model_copy(update={"calibration": False})
    with pytest.raises(PolicyError, match="target_fpr"):
        build(off, policy=tmp_path / "shop.yaml")
