"""Training records: what a line may say, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.training.material import write_rows

from mllm_protector.errors import ConfigError, InputError, RecordError
from mllm_protector.training.detector import DetectorSettings
from mllm_protector.training.recipe import read_recipe
from mllm_protector.training.records import TrainingRecord, read_records, split_dev

RECIPES = Path(__file__).parents[3] / "recipes"


def test_every_field_is_read(tmp_path: Path) -> None:
    row = {
        "prompt": "p", "response": "r", "harmful": 1, "category": "S2", "safe_response": "s",
        "image_text": "i",
        "safe_response_harmful": 0, "source": "x", "licence": "MIT", "weight": 0.5, "other": [1],
    }  # fmt: skip
    pair = {"prompt": "p", "rejected": "bad", "chosen": "good", "source": "pairs"}
    bare = {"prompt": "p", "response": "", "harmful": None}
    first, second, third = read_records(write_rows(tmp_path / "a.jsonl", [row, pair, bare]))
    assert first == TrainingRecord("p", "r", True, ("S2",), "s", False, "i", "x", "MIT", 0.5, "a.jsonl:1")
    assert (second.response, second.safe_response, second.harmful) == ("bad", "good", None)
    assert (third.harmful, third.categories, third.weight) == (None, None, 1.0)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "p", "response": "r", "harmful": 2}, "line 2: \"harmful\" is '2', but must be 0 or 1"),
        ({"prompt": "p", "response": "r", "harmful": "yes"}, "must be 0 or 1"),
        ({"prompt": "p", "response": "r", "categories": ["S02"]}, "'S02' is no category code"),
        ({"prompt": "p", "response": "r", "weight": -1}, "at least 0"),
        ({"prompt": "p"}, 'the key "response" is missing'),
        ({"prompt": 1, "response": "r"}, '"prompt" must be a string'),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"prompt": "p", "response": "r"}, row])
    with pytest.raises(RecordError, match=words):
        list(read_records(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl.*--data"):
        list(read_records(tmp_path / "none.jsonl"))


def test_a_prompt_is_on_one_side_whatever_the_order() -> None:
    made = [TrainingRecord(f"p{i % 100}", f"r{i}") for i in range(400)]
    train, dev = split_dev(made, 0.2)
    assert not {r.prompt for r in train} & {r.prompt for r in dev}
    assert 40 <= len(dev) <= 120
    assert {r.prompt for r in split_dev(made[::-1], 0.2)[1]} == {r.prompt for r in dev}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rate: 1", "unknown key 'learning_rate'"),
        ("lora: {rnk: 4}", "lora: unknown key 'rnk'; did you mean 'rank'"),
        ("epochs: many", "epochs"),
        ("epochs: 0", "at least 1"),
        ("- 1", "mapping of keys"),
        ("lr: [", "cannot be read"),
    ],
)
def test_a_bad_recipe_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_recipe(DetectorSettings, tmp_path / "r.yaml")


def test_numbers_are_numbers_and_changes_win(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("lr: 2e-5\nlora: {rank: 4}\n")
    settings = read_recipe(DetectorSettings, tmp_path / "r.yaml", {"epochs": 7})
    assert settings.lr == 2e-5 and settings.epochs == 7 and settings.lora is not None
    assert settings.lora.rank == 4
