"""Training over two processes, as a launcher starts them, on the CPU (gloo)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tiny_models import save_tiny_llama
from tests.unit.training.material import SMALL, rows, write_rows
from typer.testing import CliRunner

from mllm_protector.cli.app import app

SOURCE = Path(__file__).parents[2] / "src"


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    data, base = write_rows(tmp_path / "rows.jsonl", rows()), save_tiny_llama(tmp_path / "base")
    arguments = ["train", "detector", "--data", str(data), "--base", str(base), "-q"]
    for key, value in (SMALL | {"dev_share": 0.3, "micro_batch": 3}).items():
        arguments += ["--set", f"{key}={value}"]
    assert CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "one")]).exit_code == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, "-m", "mllm_protector", *arguments, "-o", str(tmp_path / "two")],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SOURCE)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    logs = [(tmp_path / n / "training" / "metrics.jsonl").read_text().splitlines() for n in ("one", "two")]
    figures = [[json.loads(line) for line in log] for log in logs]
    assert len(figures[0]) == len(figures[1]) > 3
    for alone, together in zip(*figures, strict=True):
        assert alone.pop("split") == together.pop("split")
        assert alone == pytest.approx(together, rel=1e-3, abs=1e-5)
    assert (tmp_path / "two" / "checkpoint.json").exists()
