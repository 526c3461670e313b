"""What the trainers' tests train on: micro models and mild rows, made here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mllm_protector.data import TrainingRecord
from mllm_protector.training.records import read_records

SMALL: dict[str, Any] = {
    "epochs": 1, "batch_size": 8, "micro_batch": 4, "lr": 3e-3, "max_length": 64, "prompt_tokens": 16,
    "save_every": 100, "evaluate_every": 100, "warmup": 0.0, "dev_share": 0.0,
}  # fmt: skip


def rows(count: int = 24) -> list[dict[str, Any]]:
    """Half are harmful, each with a safe answer; two categories."""
    made: list[dict[str, Any]] = []
    for i in range(count):
        row: dict[str, Any] = {"prompt": f"Ask {i // 2}", "source": "toy", "licence": "CC0-1.0"}
        if i % 2:
            row |= {"response": "xx" + " zu" * (i % 3), "harmful": 1, "safe_response": f"No, but {i}"}
            row |= {"categories": ["S2"] if i % 4 == 1 else ["S10"]}
        else:
            row |= {"response": "good" + " tea" * (i % 4), "harmful": 0}
        made.append(row)
    return made


def write_rows(path: Path, made: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def records(folder: Path, count: int = 24) -> list[TrainingRecord]:
    return read_records([str(write_rows(folder / "rows.jsonl", rows(count)))])
