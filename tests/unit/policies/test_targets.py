"""A target_fpr becomes a threshold of the detector's calibration, or one line that names the cure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mllm_protector.calibration import (
    CalibratedDetector,
    CalibrationFile,
    Head,
    Temperature,
    operating_points,
)
from mllm_protector.errors import PolicyError
from mllm_protector.gateway.policies import PolicyBook
from mllm_protector.policies import load_policy, parse_policy, policy_schema, resolve_targets, target_points
from mllm_protector.protector import Protector
from mllm_protector.testing import ScriptedDetector
from mllm_protector.types import Action, Detection, Exchange, Query

POINTS = operating_points(np.linspace(0.0, 0.999, 1000))
SMALL = operating_points(np.linspace(0.0, 0.5, 100))
CALIBRATED = CalibratedDetector(
    ScriptedDetector({"bad": 0.9}),
    CalibrationFile(
        "scripted", "s", {"dev": 1}, {"harm": Head(Temperature(1.0), POINTS), "S1": Head(None, SMALL)}
    ),
    "s",
)  # fmt: skip


def test_the_policy_and_its_categories_have_targets_of_their_own() -> None:
    text = "target_fpr: 0.01\ncategories: {S1: {target_fpr: 0.05, action: refuse}, S2: {threshold: 0.4}}"
    policy = parse_policy(text)
    assert policy.targets == {"harm": 0.01, "S1": 0.05}
    resolved = resolve_targets(policy, CALIBRATED)
    assert resolved.targets == {}
    assert resolved.threshold == pytest.approx(0.9895, abs=1e-3)
    assert resolved.categories["S1"].threshold == pytest.approx(0.477, abs=0.01)
    assert resolved.categories["S2"].threshold == 0.4
    assert target_points(policy, CALIBRATED)["harm"].false_alarms == 10


def test_a_policy_without_targets_needs_no_calibration() -> None:
    policy = load_policy("default")
    assert resolve_targets(policy, ScriptedDetector()) is policy


@pytest.mark.parametrize(
    ("text", "detector", "message"),
    [
        ("target_fpr: 0.01", ScriptedDetector(), "the detector has no calibration; run"),
        (
            "categories: {S9: {target_fpr: 0.1}}",
            CALIBRATED,
            "of S9: the detector has no operating points for S9",
        ),
        ("categories: {S1: {target_fpr: 0.001}}", CALIBRATED, "which needs 2,995; the finest is 0.03"),
    ],
)
def test_what_cannot_be_resolved_is_one_line(text: str, detector: ScriptedDetector, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        resolve_targets(parse_policy(text, name="shop"), detector)
    assert message in str(raised.value) and "policy shop: target_fpr" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["threshold: 0.5\ntarget_fpr: 0.01", "categories: {S1: {threshold: 0.5, target_fpr: 0.01}}"]
)
def test_a_threshold_and_a_target_exclude_each_other(text: str) -> None:
    with pytest.raises(PolicyError, match="give a threshold or a target_fpr, not both"):
        parse_policy(text)


@pytest.mark.parametrize("value", ["0.0", "1.0", "yes", "-0.1"])
def test_a_target_is_a_share(value: str) -> None:
    with pytest.raises(PolicyError, match="target_fpr"):
        parse_policy(f"target_fpr: {value}")


def test_a_child_replaces_a_target_by_a_threshold_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("target_fpr: 0.02\ncategories: {S1: {target_fpr: 0.1}, S2: {}}")
    (tmp_path / "child.yaml").write_text(
        "extends: base.yaml\nthreshold: 0.7\ncategories: {S1: {action: flag}}"
    )
    (tmp_path / "back.yaml").write_text("extends: child.yaml\ntarget_fpr: 0.03")
    child, back = load_policy(tmp_path / "child.yaml"), load_policy(tmp_path / "back.yaml")
    assert (child.threshold, child.targets) == (0.7, {"S1": 0.1, "S2": 0.02})
    assert child.categories["S1"].action is Action.FLAG
    assert back.targets["harm"] == 0.03


def test_until_it_is_resolved_everything_is_acted_on_and_no_guard_is_made() -> None:
    policy = parse_policy("target_fpr: 0.01")
    exchange = Exchange(Query("q"), "Fine.")
    assert policy.decide(Detection(0.0), exchange).action is Action.DETOXIFY
    with pytest.raises(PolicyError, match="resolve_targets"):
        Protector(ScriptedDetector(), policy)


def test_the_schema_knows_it() -> None:
    schema = policy_schema()
    assert "target_fpr" in schema["properties"]
    assert "target_fpr" in schema["$defs"]["CategoryDocument"]["properties"]


def test_the_gateway_resolves_too_and_keeps_the_last_good_policy(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("target_fpr: 0.01")
    book = PolicyBook(Protector(CALIBRATED, load_policy("default")), None, {"shop": str(path)})
    good = book.choose("shop", ("shop",)).policy
    assert good.targets == {} and good.threshold > 0.9
    path.write_text("target_fpr: 0.000001")
    assert book.reload() == ([], ["shop"])
    assert book.choose("shop", ("shop",)).policy == good
