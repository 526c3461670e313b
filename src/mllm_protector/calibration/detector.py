"""Any harm detector with calibrated probabilities."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mllm_protector.calibration.calibrators import Calibrator, to_logits
from mllm_protector.calibration.document import HARM, CalibrationFile, Head
from mllm_protector.calibration.operating import OperatingPoints
from mllm_protector.errors import ConfigError
from mllm_protector.interfaces import HarmDetector
from mllm_protector.taxonomy import ADVICE
from mllm_protector.types import Detection, Exchange, Span

__all__ = ["CalibratedDetector", "calibrated"]

_ADVICE = frozenset(category.code for category in ADVICE)


class CalibratedDetector:
    """Passes what a detector says through its calibration; the order of P(harmful) is kept.

    Args:
        inner: the detector.
        calibration: made for this very detector.
        fingerprint: of ``inner``, to be the one that the calibration was made for.

    Raises:
        ConfigError: the calibration is of another detector, or of other weights or settings of it.
    """

    def __init__(self, inner: HarmDetector, calibration: CalibrationFile, fingerprint: str) -> None:
        if calibration.fingerprint != fingerprint:
            raise ConfigError(
                f"the calibration is of {calibration.detector} with other weights or settings "
                f"({calibration.fingerprint}, this one is {fingerprint}): make it again with "
                "`mllm-protector calibrate`, or set `calibration: off`"
            )
        self.inner = inner
        self.calibration = calibration

    @property
    def fingerprint(self) -> str:
        """What identifies its scores: the detector's own fingerprint and the calibration."""
        digest = hashlib.sha256(repr(self.calibration).encode()).hexdigest()[:12]
        return f"{self.calibration.fingerprint}+{digest}"

    @property
    def operating_points(self) -> dict[str, OperatingPoints]:
        """Head -> false alarms by threshold, for policies that name a ``target_fpr``."""
        return {name: h.points for name, h in self.calibration.heads.items() if h.points is not None}

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one calibrated detection per exchange, in order.

        Raises:
            BackendError: the detector failed.
        """
        return [calibrated(detection, self.calibration) for detection in self.inner.detect(exchanges)]


def calibrated(detection: Detection, calibration: CalibrationFile) -> Detection:
    """Return a detection with the probabilities that ``calibration`` makes of it.

    ``harm`` and the spans go through the calibrator of harm. A category goes through its own; a hazard
    without one keeps its share of the harm, an advice category without one its probability.
    """
    harm = _applied(calibration.heads[HARM].calibrator, detection.harm)
    share = harm / detection.harm if detection.harm > 0.0 else 1.0
    categories = {}
    for code, value in detection.categories.items():
        own = calibration.heads.get(code, Head()).calibrator
        if code in _ADVICE:
            categories[code] = _applied(own, value)
        else:
            categories[code] = min(harm, value * share if own is None else _applied(own, value))
    spans = tuple(
        Span(s.start, s.end, _applied(calibration.heads[HARM].calibrator, s.harm)) for s in detection.spans
    )
    return Detection(harm, categories, spans)


def _applied(calibrator: Calibrator | None, score: float) -> float:
    return score if calibrator is None else float(calibrator.apply(to_logits(score)))
