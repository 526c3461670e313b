"""The model folder: what is damaged, missing or unknown is refused with the cure in the message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mllm_protector.checkpoints import (
    EMBEDDED,
    MANIFEST,
    OUTPUTS,
    Calibration,
    Manifest,
    file_sha256,
    load_manifest,
    probabilities,
    verify,
    write_manifest,
)
from mllm_protector.errors import CheckpointError, OutputError
from mllm_protector.prompts import PAIR_V1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("model.onnx", "tokenizer.json", "card.md"):
        (tmp_path / name).write_text(name)
    write_manifest(
        tmp_path,
        Manifest(
            name="test-1",
            template=PAIR_V1,
            outputs=OUTPUTS,
            calibration=dict.fromkeys(OUTPUTS, Calibration(2.0, -1.0)),
            threshold=0.5,
            files={n: file_sha256(tmp_path / n) for n in ("model.onnx", "tokenizer.json", "card.md")},
            licences={"base": "Apache-2.0"},
        ),
    )
    return tmp_path


def edit(folder: Path, **changes: Any) -> None:
    """Change keys of the manifest; None removes one."""
    data = json.loads((folder / MANIFEST).read_text())
    data.update(changes)
    (folder / MANIFEST).write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


def test_written_manifest_is_read_back(folder: Path) -> None:
    manifest = verify(folder)
    assert manifest.outputs[0] == "harm"
    assert len(manifest.outputs) == 20
    assert manifest.template == PAIR_V1
    assert manifest.calibration["harm"] == Calibration(2.0, -1.0)
    assert not list(folder.glob("*.part"))


def test_damaged_file_is_named_with_both_sums(folder: Path) -> None:
    expected = file_sha256(folder / "model.onnx")
    (folder / "model.onnx").write_text("model.onny")
    with pytest.raises(CheckpointError, match=r"model\.onnx is damaged.*expected.*reinstall") as caught:
        verify(folder)
    assert expected in str(caught.value)
    assert file_sha256(folder / "model.onnx") in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", MANIFEST])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} cannot be read.*reinstall"):
        verify(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "unknown keys.*colour"),
        ({"threshold": None}, "lacks the keys.*threshold"),
        ({"format_version": 99}, "version 99"),
        ({"kind": "other"}, "other"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": "high"}, "high"),
        ({"outputs": ["S1"]}, "harm"),
        ({"aggregation": "mean"}, "aggregation"),
        ({"files": {"../model.onnx": "0"}}, "plain names"),
        ({"files": {}}, "model.onnx"),
        ({"calibration": {"harm": {}}}, "wrong kind"),
        ({"template": {"name": "pair-v1"}}, "template"),
    ],
)
def test_unusable_manifest_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_manifest(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"'])
def test_manifest_that_is_not_an_object_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(CheckpointError, match="JSON"):
        load_manifest(folder)


def test_unwritable_folder_is_an_output_error(folder: Path) -> None:
    manifest = load_manifest(folder)
    with pytest.raises(OutputError, match="cannot be written"):
        write_manifest(folder / "missing", manifest)


def test_probabilities_follow_the_calibration(folder: Path) -> None:
    manifest = load_manifest(folder)
    found = probabilities(np.array([[0.5] * 20, [-1e9] * 20, [1e9] * 20], dtype=np.float32), manifest)
    assert found[0] == pytest.approx(0.5)  # 2 * 0.5 - 1 = 0
    assert found[1].max() < 1e-9
    assert found[2].min() > 1 - 1e-6


def test_the_embedded_model_is_whole_and_small() -> None:
    manifest = verify(EMBEDDED)
    assert manifest.outputs == OUTPUTS
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) <= 30_000_000
    assert "NC" in " ".join(manifest.licences.values())  # the card must not hide non-commercial sources
    card = (EMBEDDED / "card.md").read_text(encoding="utf-8")
    assert all(word in card for word in ("CC-BY-NC-4.0", "Limits", "AUROC"))
