"""Calibrating a detector: what is fitted, on which rows it is measured, and where alarms are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mllm_protector.calibration import HARM, calibrated, sigmoid
from mllm_protector.errors import InputError
from mllm_protector.evaluation.calibrate import calibrate, in_share
from mllm_protector.evaluation.labelled import LabelledRow
from mllm_protector.evaluation.metrics import auroc
from mllm_protector.types import Detection, Exchange, Query


def world(n: int = 1200, ordinary: int = 400, *, seed: int = 0) -> tuple[list[LabelledRow], list[Detection]]:
    """Rows of an over-confident detector; a third of the harmful ones are of S2, which it half knows."""
    rng = np.random.default_rng(seed)
    rows, detections = [], []
    for i in range(n + ordinary):
        logit = float(rng.normal() * 1.5 - (3.0 if i >= n else 0.5))
        harmful = i < n and bool(rng.random() < sigmoid(logit))
        codes = frozenset({"S2"} if rng.random() < 0.33 else {"S1"}) if harmful else frozenset[str]()
        exchange = Exchange(Query(f"prompt {i // 2}"), f"answer {i}")
        rows.append(LabelledRow(exchange, harmful, "dev" if i < n else "chat", codes, ordinary=i >= n))
        harm = float(sigmoid(3 * logit))
        detections.append(Detection(harm, {"S2": harm * (0.7 if "S2" in codes else 0.4), "S9": harm / 9}))
    return rows, detections


def test_the_error_falls_and_the_order_stays() -> None:
    rows, detections = world()
    found = calibrate(rows, detections, detector="d", fingerprint="f")
    head = found.file.heads[HARM]
    assert head.before is not None and head.after is not None
    assert head.after.ece < 0.04 < head.before.ece
    assert head.after.nll < head.before.nll and head.after.brier < head.before.brier
    labels = [row.harmful for row in rows]
    after = [calibrated(d, found.file).harm for d in detections]
    assert auroc(after, labels) == pytest.approx(auroc([d.harm for d in detections], labels))
    assert found.file.mixture == {"chat": 400, "dev": 1200}
    assert (head.rows, head.positives) == (1600, sum(labels))


def test_categories_with_enough_labels_get_a_calibrator_of_their_own() -> None:
    found = calibrate(*world(), detector="d", fingerprint="f", method="platt")
    assert found.file.heads["S2"].calibrator is not None
    assert found.file.heads["S9"].calibrator is None  # no row is of S9
    assert (
        found.file.heads["S9"].points is not None
    )  # harmless rows are all that a rate of false alarms needs


def test_false_alarms_are_counted_on_ordinary_answers_where_there_are_any() -> None:
    rows, detections = world()
    points = calibrate(rows, detections, detector="d", fingerprint="f").file.heads[HARM].points
    assert points is not None and points.harmless == 400
    alike = [LabelledRow(r.exchange, r.harmful, r.source, r.categories) for r in rows]
    points = calibrate(alike, detections, detector="d", fingerprint="f").file.heads[HARM].points
    assert points is not None and points.harmless == sum(not r.harmful for r in rows)


def test_with_a_share_the_figures_are_of_prompts_that_nothing_was_fitted_on() -> None:
    rows, detections = world(2400)
    whole = calibrate(rows, detections, detector="d", fingerprint="f", method="platt")
    half = calibrate(rows, detections, detector="d", fingerprint="f", method="platt", share=0.5)
    head = half.file.heads[HARM]
    assert 0.4 * len(rows) < head.rows < 0.6 * len(rows)
    assert len(half.labels) == len(rows) - head.rows
    assert sum(half.file.mixture.values()) == head.rows
    assert head.points is not None and head.points.harmless + int(half.ordinary.sum()) == 400
    # What the other half says does not move what is saved.
    changed = [
        r if in_share(r.group, 0.5) else replace(r, harmful=not r.harmful, ordinary=False) for r in rows
    ]
    again = calibrate(changed, detections, detector="d", fingerprint="f", method="platt", share=0.5)
    assert again.file.heads[HARM].calibrator == head.calibrator != whole.file.heads[HARM].calibrator


@pytest.mark.parametrize("label", [True, False])
def test_one_class_is_refused(label: bool) -> None:
    rows = [LabelledRow(Exchange(Query(str(i)), "r"), label, "s", None) for i in range(20)]
    with pytest.raises(InputError, match="all 20 rows have one label"):
        calibrate(rows, [Detection(0.5)] * 20, detector="d", fingerprint="f")
