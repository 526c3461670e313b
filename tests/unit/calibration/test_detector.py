"""A calibrated detector: probabilities, categories and spans, of the right detector only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mllm_protector.calibration import (
    CalibratedDetector,
    CalibrationFile,
    Head,
    Platt,
    Quality,
    calibrated,
    load_calibration,
    operating_points,
)
from mllm_protector.errors import ConfigError
from mllm_protector.interfaces import HarmDetector
from mllm_protector.testing import ScriptedDetector
from mllm_protector.types import Detection, Exchange, Query, Span

HALVED = Platt(1.0, -1.0)
QUALITY = Quality(0.1, 0.1, 0.2, 0.3)
FILE = CalibrationFile(
    "scripted", "scripted-1", {"dev": 40},
    {
        "harm": Head(HALVED, operating_points([0.1, 0.4, 0.2]), 40, 12, QUALITY, QUALITY),
        "S2": Head(Platt(2.0, 0.0)),
        "health-advice": Head(),
    },
)  # fmt: skip


def test_harm_and_spans_go_through_the_map_of_harm() -> None:
    found = calibrated(Detection(0.8, {}, (Span(0, 4, 0.6),)), FILE)
    assert found.harm == pytest.approx(0.595, abs=1e-3)
    assert found.spans[0].harm == pytest.approx(0.356, abs=1e-3)
    assert (found.spans[0].start, found.spans[0].end) == (0, 4)


def test_a_category_has_its_own_map_or_keeps_its_share_of_the_harm() -> None:
    found = calibrated(Detection(0.8, {"S1": 0.4, "S2": 0.5, "health-advice": 0.7}), FILE)
    assert found.categories["S1"] == pytest.approx(found.harm / 2)
    assert found.categories["S2"] == pytest.approx(0.5)
    assert found.categories["health-advice"] == 0.7


def test_a_hazard_is_never_likelier_than_harm() -> None:
    assert calibrated(Detection(0.8, {"S2": 0.99}), FILE).categories["S2"] <= 0.6


def test_no_harm_at_all_is_no_division_by_zero() -> None:
    assert calibrated(Detection(0.0, {"S1": 0.0}), FILE).categories == {"S1": 0.0}


def test_it_is_a_detector_with_operating_points() -> None:
    detector = CalibratedDetector(ScriptedDetector({"bad": 0.9}), FILE, "scripted-1")
    assert isinstance(detector, HarmDetector)
    assert detector.detect([]) == []
    good, bad = detector.detect([Exchange(Query("q"), text) for text in ("fine", "bad")])
    assert good.harm < 0.01 < 0.5 < bad.harm < 0.9
    assert set(detector.operating_points) == {"harm"}


def test_another_detector_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"scripted-1, this one is scripted-2.*calibration: off"):
        CalibratedDetector(ScriptedDetector(), FILE, "scripted-2")


def test_the_file_comes_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(FILE.to_dict()))
    assert load_calibration(path) == FILE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "recipe"}, "not a detector-calibration of version 1"),
        ({"format_version": 2}, "not a detector-calibration of version 1"),
        ({"more": 1}, "unknown or missing keys ['more']"),
        ({"heads": {}}, "a calibrator of 'harm'"),
        ({"heads": {"harm": {}}}, "unknown or missing keys"),
        ({"heads": 3}, "malformed"),
        ({"mixture": {"dev": "many"}}, "malformed"),
    ],
)
def test_a_damaged_file_is_one_line_with_the_cure(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(FILE.to_dict() | change))
    with pytest.raises(ConfigError) as raised:
        load_calibration(path)
    assert message in str(raised.value) and "mllm-protector calibrate" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_calibration(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        load_calibration(tmp_path / "text.json")
