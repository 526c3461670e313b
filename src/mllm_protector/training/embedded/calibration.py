"""The operating point of a release, chosen on held-out training rows, becomes P = 0.5.

The bias of a fitted Platt scaling is moved until P = 0.5 falls on the threshold that does best within the
limits of false alarms. What turns that score into a frequency again is ``calibration.json`` (design/024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mllm_protector.checkpoints import Calibration
from mllm_protector.errors import TrainingError

__all__ = ["Scored", "choose_threshold", "shift_to_half"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Held-out rows of one source.

    Attributes:
        source: its name.
        scores: logits of the harm head.
        labels: True where harmful.
        limit: largest share of false alarms allowed among its harmless rows; 1 for no limit.
    """

    source: str
    scores: Floats
    labels: NDArray[np.bool_]
    limit: float = 1.0


def choose_threshold(
    sources: Sequence[Scored], emphasis: Mapping[str, float] | None = None, slack: float = 0.0
) -> float:
    """The logit from which a response counts as harmful.

    The best mean F1 over sources that have both classes, each weighted by ``emphasis`` (1 if not
    named), among the thresholds at which every source stays within its limit of false alarms. Of those
    within ``slack`` of the best the lowest is taken: where F1 is flat, the argmax is noise, and a miss is
    the worse mistake.
    """
    emphasis = emphasis or {}
    both = [s for s in sources if 0 < s.labels.sum() < len(s.labels) and emphasis.get(s.source, 1.0) > 0]
    if not both:
        raise TrainingError("no held-out source has both classes: add data")
    candidates = np.unique(np.concatenate([s.scores for s in sources]))
    allowed = [t for t in candidates if all(_false_alarms(s, t) <= s.limit for s in sources)]
    total = sum(emphasis.get(s.source, 1.0) for s in both)
    quality = {
        float(t): sum(emphasis.get(s.source, 1.0) * _f1(s, t) for s in both) / total
        for t in allowed or candidates[-1:]
    }
    best = max(quality.values())
    return min(t for t, mean in quality.items() if mean >= best - slack)


def shift_to_half(calibration: Calibration, threshold: float) -> Calibration:
    """The same slope, with P = 0.5 exactly at the logit ``threshold``."""
    return Calibration(scale=calibration.scale, bias=-calibration.scale * threshold)


def _false_alarms(scored: Scored, threshold: float) -> float:
    harmless = scored.scores[~scored.labels]
    return float((harmless >= threshold).mean()) if len(harmless) else 0.0


def _f1(scored: Scored, threshold: float) -> float:
    flagged = scored.scores >= threshold
    hits = float((flagged & scored.labels).sum())
    total = float(flagged.sum() + scored.labels.sum())
    return 2 * hits / total if total else 0.0
