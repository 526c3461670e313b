"""Calibrates a detector on labelled rows: fitted on some prompts, measured on others."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mllm_protector.calibration import (
    HARM,
    CalibrationFile,
    Head,
    Quality,
    brier,
    calibrated,
    calibration_error,
    cross_fit,
    nll,
    operating_points,
    to_logits,
)
from mllm_protector.errors import InputError
from mllm_protector.evaluation.labelled import LabelledRow
from mllm_protector.taxonomy import ADVICE
from mllm_protector.types import Detection

__all__ = ["BINS", "Calibrated", "calibrate", "in_share"]

BINS = 15
"""Bins of every calibration error (Guo et al. 2017)."""

_FEWEST = 25  # rows of each class that a category's calibrator needs
_ADVICE = frozenset(category.code for category in ADVICE)

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration, and the rows that tell how good it is.

    Attributes:
        file: what is saved.
        before: [n] P(harmful) as the detector gave it.
        after: [n] the same calibrated, each by a calibrator that did not see the row's prompt.
        labels: [n] True for harmful.
        ordinary: [n] True where false alarms are counted.
    """

    file: CalibrationFile
    before: Floats
    after: Floats
    labels: Labels
    ordinary: Labels


def calibrate(
    rows: Sequence[LabelledRow],
    detections: Sequence[Detection],
    *,
    detector: str,
    fingerprint: str,
    method: str = "auto",
    folds: int = 5,
    share: float = 1.0,
) -> Calibrated:
    """Fit every head that the rows can carry, and count the false alarms for its operating points.

    With ``share`` 1 the saved calibrators are fitted to all rows, and the quality figures are cross-fitted by
    prompt. With less, everything saved rests on that share of the prompts, and the quality is measured on
    the others. A category with fewer than 25 rows of either class gets no calibrator: a hazard then keeps
    its share of the harm. False alarms are counted on the ordinary rows, or on all harmless ones if none is
    ordinary.

    Args:
        rows: labelled exchanges.
        detections: what the detector without calibration says of each.
        detector: its name, for people.
        fingerprint: what identifies it.
        method: ``temperature``, ``platt``, ``isotonic``, or ``auto``.
        folds: parts of the cross-fit.
        share: of the prompts, in (0, 1]; which ones depends on their text alone.

    Raises:
        InputError: one class only, or too few prompts.
    """
    labels = np.array([row.harmful for row in rows], dtype=bool)
    _both(labels)
    anywhere = any(row.ordinary for row in rows)
    ordinary = np.array([row.ordinary if anywhere else not row.harmful for row in rows], dtype=bool)
    fitted = np.array([in_share(row.group, share) for row in rows], dtype=bool)
    data = _Data([row.group for row in rows], fitted, method, folds)
    harm = np.array([d.harm for d in detections])
    head, after = data.head(harm, labels)
    heads = {HARM: head}
    for code in sorted({code for d in detections for code in d.categories}):
        heads[code] = _category(code, rows, detections, data)
    mixture = dict(
        sorted(Counter(row.source for row, used in zip(rows, fitted, strict=True) if used).items())
    )
    file = CalibrationFile(detector, fingerprint, mixture, heads)
    counted = [d for d, kept in zip(detections, ordinary & fitted, strict=True) if kept]
    measured = data.measured
    return Calibrated(
        _with_points(file, counted), harm[measured], after, labels[measured], ordinary[measured]
    )


@dataclass(frozen=True, slots=True)
class _Data:
    """Which rows are fitted on, and how; all [n]."""

    groups: Sequence[str]
    fitted: Labels
    method: str
    folds: int

    @property
    def measured(self) -> Labels:
        """The rows that quality is measured on: the others, or all of them if there are no others."""
        return np.ones_like(self.fitted) if self.fitted.all() else ~self.fitted

    def head(self, scores: Floats, labels: Labels, known: Labels | None = None) -> tuple[Head, Floats]:
        """The head fitted to its ``known`` rows, and its probabilities of the measured ones."""
        known = np.ones_like(labels) if known is None else known
        inside, outside = self.fitted & known, self.measured & known
        _both(labels[inside])
        groups = [group for group, kept in zip(self.groups, inside, strict=True) if kept]
        found = cross_fit(self.method, to_logits(scores[inside]), labels[inside], groups, folds=self.folds)
        whole = bool(self.fitted.all())
        after = found.probabilities if whole else found.calibrator.apply(to_logits(scores[outside]))
        quality = [_quality(s, labels[outside]) for s in (scores[outside], after)]
        return Head(found.calibrator, None, int(inside.sum()), int(labels[inside].sum()), *quality), after


def _category(code: str, rows: Sequence[LabelledRow], detections: Sequence[Detection], data: _Data) -> Head:
    """A head with a calibrator if enough rows say whether they hold the category."""
    known = np.array([row.categories is not None for row in rows], dtype=bool)
    labels = np.array([code in (row.categories or ()) for row in rows], dtype=bool)
    each = labels[known & data.fitted]
    if code in _ADVICE or min(each.sum(), (~each).sum()) < _FEWEST:
        return Head()
    scores = np.array([d.categories.get(code, 0.0) for d in detections])
    return data.head(scores, labels, known)[0]


def _quality(scores: Floats, labels: Labels) -> Quality:
    return Quality(
        ece=calibration_error(scores, labels, BINS),
        ece_equal_mass=calibration_error(scores, labels, BINS, equal_mass=True),
        brier=brier(scores, labels),
        nll=nll(scores, labels),
    )


def _both(labels: Labels) -> None:
    if not len(labels):
        raise InputError("no rows are left to calibrate on: add data")
    if not 0 < labels.sum() < len(labels):
        raise InputError(f"all {len(labels)} rows have one label: give harmful and harmless answers")


def in_share(group: str, share: float) -> bool:
    """True for a stable ``share`` of all groups, by their text alone."""
    return zlib.crc32(group.encode("utf-8", "surrogatepass")) % 10_000 < share * 10_000


def _with_points(file: CalibrationFile, detections: Sequence[Detection]) -> CalibrationFile:
    """The file with the false alarms of every head, on the probabilities that a calibrated detector gives."""
    if not detections:
        return file
    applied = [calibrated(detection, file) for detection in detections]
    heads = {}
    for name, head in file.heads.items():
        scores = [d.harm if name == HARM else d.categories.get(name, 0.0) for d in applied]
        heads[name] = replace(head, points=operating_points(scores))
    return replace(file, heads=heads)
