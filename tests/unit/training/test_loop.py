"""Invariances of training: how rows are spread, padded, interrupted or merged changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from tests.tiny_models import save_tiny_bert, save_tiny_llama
from tests.unit.training.material import SMALL, records

from mllm_protector.backends.detectors.checkpoint import CheckpointDetector
from mllm_protector.data import TrainingRecord
from mllm_protector.errors import OutputError, TrainingError
from mllm_protector.networks.harm import HarmNetwork, load_transformer, pad
from mllm_protector.training import detector, detoxifier, joint
from mllm_protector.training.base import Base
from mllm_protector.training.detector import DetectorSettings
from mllm_protector.training.detoxifier import DetoxifierSettings
from mllm_protector.training.joint import JointSettings
from mllm_protector.training.loop import plan_updates, rate_of
from mllm_protector.training.recipe import LoopSettings, LoraSettings
from mllm_protector.types import Exchange, Query

LORA = LoraSettings(rank=4, alpha=8, dropout=0.0)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Base]:
    folder = tmp_path_factory.mktemp("bases")
    made = {"llama": save_tiny_llama(folder / "llama"), "bert": save_tiny_bert(folder / "bert")}
    return {name: Base(str(path)) for name, path in made.items()}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Sequence[TrainingRecord]:
    return records(tmp_path_factory.mktemp("rows"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= {f"{path.name}/{name}": value for name, value in load_file(path).items()}
    return found


def furthest(a: Path, b: Path) -> float:
    one, other = weights(a), weights(b)
    assert one and set(one) == set(other)
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("pairwise", [0.0, 0.5])
def test_eight_rows_at_once_are_eight_one_by_one(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path, pairwise: float
) -> None:
    # SGD in effect: one step of Adam hides a wrong scale, and three do not.
    for name, size in (("at-once", 8), ("single", 1), ("odd", 3)):
        settings = DetectorSettings(**SMALL | {"micro_batch": size}, lora=LORA, pairwise=pairwise)
        detector.train(settings, toy, bases["llama"], tmp_path / name, quiet=True)
    assert furthest(tmp_path / "at-once", tmp_path / "single") < 2e-4
    assert furthest(tmp_path / "at-once", tmp_path / "odd") < 2e-4
    first, single = (
        [json.loads(x) for x in (tmp_path / n / "training" / "metrics.jsonl").read_text().splitlines()]
        for n in ("at-once", "single")
    )
    assert [x["gradient"] for x in first] == pytest.approx([x["gradient"] for x in single], rel=1e-3)
    assert [x["loss"] for x in first] == pytest.approx([x["loss"] for x in single], rel=1e-3)


def test_accumulated_rewrites_are_a_big_batch(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path
) -> None:
    for name, size in (("big", 8), ("small", 2)):
        common = SMALL | {"micro_batch": size, "max_length": 128}
        settings = JointSettings(**common, rewrite_tokens=16)
        joint.train(settings, toy, bases["llama"], tmp_path / name, quiet=True)
    assert furthest(tmp_path / "big", tmp_path / "small") < 2e-4


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_resumed_is_uninterrupted(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path, stop: int
) -> None:
    lora = LoraSettings(rank=4, alpha=8, dropout=0.1, merge=False)  # its noise has to be the same as well
    settings = DetectorSettings(**SMALL | {"save_every": 1, "dev_share": 0.2, "evaluate_every": 2}, lora=lora)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    detector.train(settings, toy, bases["bert"], whole, quiet=True)
    detector.train(settings, toy, bases["bert"], parts, quiet=True, stop_after=stop)
    assert not (parts / "checkpoint.json").exists()
    detector.train(settings, toy, bases["bert"], parts, quiet=True)
    assert furthest(whole, parts) == 0.0
    names = ("whole", "parts")
    told = [(tmp_path / name / "training" / "metrics.jsonl").read_text() for name in names]
    assert told[0] == told[1]
    assert not list(parts.glob("training/state-*"))


def test_a_kill_between_checkpoints_loses_only_what_came_after(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path
) -> None:
    settings = DetectorSettings(**SMALL | {"save_every": 2})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    detector.train(settings, toy, bases["bert"], whole, quiet=True)
    detector.train(settings, toy, bases["bert"], parts, quiet=True, stop_after=3)
    (parts / "training" / "state-00000003.part").mkdir()  # what a kill while writing leaves
    assert [p.name for p in parts.glob("training/state-*[0-9]")] == ["state-00000002"]
    detector.train(settings, toy, bases["bert"], parts, quiet=True)
    assert furthest(whole, parts) == 0.0


def test_a_run_with_other_settings_is_not_resumed(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path
) -> None:
    settings = DetectorSettings(**SMALL | {"save_every": 1})
    detector.train(settings, toy, bases["bert"], tmp_path, quiet=True, stop_after=1)
    with pytest.raises(TrainingError, match=r"other settings.*--restart"):
        detector.train(replace(settings, lr=1e-4), toy, bases["bert"], tmp_path, quiet=True)
    detector.train(replace(settings, lr=1e-4), toy, bases["bert"], tmp_path, quiet=True, restart=True)
    with pytest.raises(OutputError, match="--overwrite"):
        detector.train(settings, toy, bases["bert"], tmp_path, quiet=True)


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_the_padding_side_does_not_matter(bases: Mapping[str, Base], name: str) -> None:
    torch.manual_seed(0)
    pooling = "last" if name == "llama" else "first"
    network = HarmNetwork(load_transformer(bases[name].name, writes=False), 3, pooling).eval()
    rows = [(5, 6, 7, 8, 9, 10), (11, 12)]
    ids, mask = pad(rows, 3)
    left, left_mask = ids.clone(), mask.clone()
    left[1], left_mask[1] = ids[1].roll(4), mask[1].roll(4)
    with torch.no_grad():
        right = network(ids, mask)
        assert torch.allclose(right, network(left, left_mask), atol=1e-6)
        alone = torch.cat([network(*pad([row], 3)) for row in rows])
        assert torch.allclose(right, alone, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_a_merged_adapter_judges_like_an_unmerged_one(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path, name: str
) -> None:
    for merge in (True, False):
        lora = replace(LORA, merge=merge)
        settings = DetectorSettings(**SMALL, lora=lora)
        detector.train(settings, toy, bases[name], tmp_path / str(merge), quiet=True)
    assert (tmp_path / "False" / "adapter_config.json").exists()
    assert not (tmp_path / "False" / "model.safetensors").exists()
    seen = [Exchange(Query("Ask 3"), "xx zu"), Exchange(Query("Ask"), "good " * 30)]
    merged, apart = (CheckpointDetector(tmp_path / str(merge)).detect(seen) for merge in (True, False))
    for one, other in zip(merged, apart, strict=True):
        assert one.harm == pytest.approx(other.harm, abs=1e-5)
        assert one.categories == pytest.approx(other.categories, abs=1e-5)


def test_checkpointed_activations_and_bfloat16_train(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path
) -> None:
    plain = DetectorSettings(**SMALL)
    detector.train(plain, toy, bases["llama"], tmp_path / "plain", quiet=True)
    saving = replace(plain, gradient_checkpointing=True)
    detector.train(saving, toy, bases["llama"], tmp_path / "saving", quiet=True)
    assert furthest(tmp_path / "plain", tmp_path / "saving") < 1e-5
    settings = DetoxifierSettings(**_writer() | {"bf16": True}, lora=LORA)
    detoxifier.train(settings, toy, bases["llama"], tmp_path / "half", quiet=True)
    assert (tmp_path / "half" / "model.safetensors").exists()


def _writer() -> dict[str, Any]:
    return {key: value for key, value in SMALL.items() if key != "prompt_tokens"} | {"max_length": 256}


def test_patience_ends_a_run_and_the_best_weights_are_kept(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path
) -> None:
    common = SMALL | {"epochs": 20, "evaluate_every": 1, "patience": 2, "lr": 0.3, "batch_size": 16}
    detector.train(DetectorSettings(**common), toy, bases["bert"], tmp_path, dev=toy, quiet=True)
    lines = [json.loads(x) for x in (tmp_path / "training" / "metrics.jsonl").read_text().splitlines()]
    looks = [line for line in lines if line["split"] == "dev"]
    best = max(looks, key=lambda line: (line["auroc"], -line["step"]))
    assert looks[-1]["step"] == best["step"] + 2 < 40
    assert f"update {best['step']}." in " ".join((tmp_path / "card.md").read_text().split())
    assert list((tmp_path / "training" / "tensorboard").glob("events*"))


def test_a_loss_that_is_no_number_names_the_rows(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = detector.DetectorTask.loss

    def broken(self: Any, network: Any, rows: Any, *rest: Any) -> torch.Tensor:
        found = real(self, network, rows, *rest)
        return found * float("nan") if any("rows.jsonl:7" in self.place(row) for row in rows) else found

    settings = DetectorSettings(**SMALL | {"save_every": 1})
    monkeypatch.setattr(detector.DetectorTask, "loss", broken)
    with pytest.raises(TrainingError, match=r"nan in update \d+, on the rows .*rows\.jsonl:7\b.*lower lr"):
        detector.train(settings, toy, bases["bert"], tmp_path, quiet=True)


def test_a_full_disk_keeps_what_was_saved_and_says_how_to_go_on(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DetectorSettings(**SMALL | {"save_every": 1})
    whole, full = tmp_path / "whole", tmp_path / "full"
    detector.train(settings, toy, bases["bert"], whole, quiet=True)
    real, saved = Accelerator.save_state, list[str]()

    def save(self: Any, folder: str, **options: Any) -> Any:
        saved.append(folder)
        if len(saved) == 3:
            (Path(folder) / "model.safetensors").write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        return real(self, folder, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Accelerator, "save_state", save)
        with pytest.raises(TrainingError, match=r"No space left.*free space.*goes on from step 2"):
            detector.train(settings, toy, bases["bert"], full, quiet=True)
    assert [p.name for p in full.glob("training/state-*")] == ["state-00000002"]
    detector.train(settings, toy, bases["bert"], full, quiet=True)
    assert furthest(whole, full) == 0.0


def test_a_damaged_checkpoint_is_named(
    bases: Mapping[str, Base], toy: Sequence[TrainingRecord], tmp_path: Path
) -> None:
    settings = DetectorSettings(**SMALL | {"save_every": 1})
    detector.train(settings, toy, bases["bert"], tmp_path, quiet=True, stop_after=2)
    (tmp_path / "training" / "state-00000002" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(TrainingError, match=r"state-00000002 cannot be loaded.*--restart"):
        detector.train(settings, toy, bases["bert"], tmp_path, quiet=True)


def test_the_plan_holds_every_row_once_an_epoch() -> None:
    plan = plan_updates(10, LoopSettings(epochs=3, batch_size=4))
    flat = [i for rows in plan for i in rows]
    assert [len(rows) for rows in plan] == [4, 4, 4, 4, 4, 4, 4, 2]
    assert all(sorted(flat[at : at + 10]) == list(range(10)) for at in (0, 10, 20))
    assert plan == plan_updates(10, LoopSettings(epochs=3, batch_size=4))
    assert plan != plan_updates(10, LoopSettings(epochs=3, batch_size=4, seed=2))


@pytest.mark.parametrize(("schedule", "end"), [("cosine", 0.05), ("linear", 0.05), ("constant", 1.0)])
def test_the_rate_rises_then_falls(schedule: Any, end: float) -> None:
    settings = LoopSettings(warmup=0.1, schedule=schedule)
    rates = [rate_of(i, 100, settings) for i in range(100)]
    assert rates[:2] == [0.1, 0.2] and max(rates) == 1.0 and rates[-1] <= end
    assert rates[9:] == sorted(rates[9:], reverse=True)
