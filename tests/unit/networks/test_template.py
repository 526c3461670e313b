"""Templates and manifests of trained models: nothing of a response is lost, nothing unknown is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.checkpoints import Calibration
from mllm_protector.errors import BackendError, CheckpointError
from mllm_protector.networks.manifest import DETECTOR, TrainedManifest, load_trained
from mllm_protector.networks.template import TextTemplate, windows
from mllm_protector.networks.verdict import detection_of
from mllm_protector.types import Exchange, Query

TEMPLATE = TextTemplate(max_length=64, prompt_tokens=16, overlap=8, start_ids=(1,), end_ids=(2,))
MANIFEST = TrainedManifest(
    kind=DETECTOR, name="m", base="b", weights="whole", max_length=64, template=TEMPLATE, pooling="last",
    outputs=("harm", "S2", "legal-advice"),
    calibration={n: Calibration() for n in ("harm", "S2", "legal-advice")},
)  # fmt: skip


def letters(text: str) -> list[int]:
    return [ord(c) for c in text]


@given(st.text(alphabet="abc ", max_size=60), st.text(alphabet="defg ", max_size=300))
def test_every_token_of_a_response_is_in_a_window(prompt: str, response: str) -> None:
    template = replace(TEMPLATE, normalise=False)
    found = windows(Exchange(Query(prompt), response), template, letters)
    assert all(len(ids) <= 64 and ids[0] == 1 and ids[-1] == 2 for ids in found.ids)
    joined, start = "", len("Answer: ")
    for place, ids in enumerate(found.ids):
        text = "".join(chr(i) for i in ids[1:-1])
        body = text[text.index("Answer: ") + start :]
        joined += body if place == 0 else body[8:]
    assert joined == response
    assert found.cut == (found.prompt_cut or len(found.ids) > 1)


def test_a_long_prompt_keeps_its_ends_and_the_image_joins_it() -> None:
    template = replace(TEMPLATE, normalise=False)
    ids = windows(Exchange(Query("a" * 20 + "b" * 80), "r" * 50), template, letters).ids[0]
    assert "Question: aaaaaaaaaaabbbbb\n\nAnswer: r" in "".join(chr(i) for i in ids)
    asked = TEMPLATE.asked(Query("{response} {prompt}", image_text="{image_text}"))
    assert asked == "{response} {prompt}\n[image] {image_text}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "{prompt}"},
        {"text": "{response}{prompt}"},
        {"image": "x"},
        {"max_length": 20},
        {"overlap": -1},
    ],
)
def test_a_template_that_cannot_work_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match="template"):
        TextTemplate.from_dict(TEMPLATE.to_dict() | wrong)


def test_manifests_come_back_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_text(json.dumps(MANIFEST.to_dict()))
    assert load_trained(tmp_path) == MANIFEST
    for change in (
        {"kind": "x"},
        {"extra": 1},
        {"outputs": ["S2"]},
        {"files": {"../x": ""}},
        {"threshold": 2},
    ):
        path.write_text(json.dumps(MANIFEST.to_dict() | change))
        with pytest.raises(CheckpointError):
            load_trained(tmp_path)
    path.write_text("{")
    with pytest.raises(CheckpointError, match="not JSON"):
        load_trained(tmp_path)


def test_hazards_are_part_of_harm_and_advice_is_not() -> None:
    found = detection_of(np.array([[0.0, 0.0, 2.0], [-5.0, 3.0, -2.0]], dtype=np.float32), MANIFEST)
    assert found.harm == 0.5 and found.categories["S2"] == pytest.approx(0.25)
    assert found.categories["legal-advice"] == pytest.approx(0.8808, abs=1e-3)
    with pytest.raises(BackendError, match="no usable score"):
        detection_of(np.array([[np.nan, 0.0, 0.0]], dtype=np.float32), MANIFEST)
