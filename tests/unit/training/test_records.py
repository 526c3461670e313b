"""What trainers read, from any source, and what is refused by name; recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.training.material import write_rows

from mllm_protector.data import TrainingRecord
from mllm_protector.errors import ConfigError, InputError, RecordError
from mllm_protector.training.detector import DetectorSettings
from mllm_protector.training.recipe import read_recipe
from mllm_protector.training.records import read_records, split_dev

RECIPES = Path(__file__).parents[3] / "recipes"


def test_any_source_is_read_and_each_record_knows_its_place(tmp_path: Path) -> None:
    row = {"prompt": "p", "response": "r", "harmful": 1, "category": "S2", "weight": 0.5}
    beaver = {
        "prompt": "q",
        "response": "s",
        "category": {"terrorism,organized_crime": True},
        "is_safe": False,
    }
    pair = {"prompt": "p", "rejected": "worse", "chosen": "better"}
    bare = {"prompt": "t", "response": "u"}
    files = [
        str(write_rows(tmp_path / f"{name}.jsonl", [one]))
        for name, one in (("own", row), ("beaver", beaver), ("pair", pair))
    ]
    own, other, preference = read_records(files)
    assert (own.harmful, own.categories, own.weight) == (True, ("S2",), 0.5)
    assert (other.harmful, other.source) == (True, "beavertails") and other.categories
    assert (preference.harmful, preference.safe_response) == (None, "better")
    assert [Path(r.place).name for r in (own, other)] == ["own.jsonl:1", "beaver.jsonl:1"]
    named = str(write_rows(tmp_path / "bare.jsonl", [bare]))
    (ordinary,) = read_records([named], ["ordinary"])
    assert ordinary.harmful is False
    assert len(read_records([files[0], named], ["records", "ordinary"])) == 2
    with pytest.raises(ConfigError, match="--source is given 2 times for 3 data sets"):
        read_records([*files[:2], named], ["records", "ordinary"])
    with pytest.raises(InputError, match=r"of no known source.*--source"):
        read_records([named])
    with pytest.raises(InputError, match=r"none\.jsonl is not there"):
        read_records([str(tmp_path / "none.jsonl")])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"harmful": 2}, "must be true or false"),
        ({"harmful": "yes"}, "must be true or false"),
        ({"categories": ["S02"]}, "unknown code 'S02'; did you mean"),
        ({"weight": -1}, "above 0"),
        ({"prompt": 1}, '"prompt" is int 1, but must be a string'),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"prompt": "p", "response": "r", "harmful": 0}
    path = write_rows(tmp_path / "a.jsonl", [good, good | change])
    with pytest.raises(RecordError, match=f"line 2.*{words}"):
        read_records([str(path)])


def test_a_prompt_is_on_one_side_whatever_the_order() -> None:
    made = [TrainingRecord(f"p{i % 100}", f"r{i}", None) for i in range(400)]
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
