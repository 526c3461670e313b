"""``calibration.json``: how a detector's scores become probabilities, on which rows, and how well.

Beside a checkpoint it is found and applied by itself; elsewhere a configuration names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mllm_protector.calibration.calibrators import Calibrator, calibrator_from_dict
from mllm_protector.calibration.operating import OperatingPoints
from mllm_protector.errors import ConfigError

__all__ = ["CALIBRATION", "HARM", "CalibrationFile", "Head", "Quality", "load_calibration"]

CALIBRATION = "calibration.json"
"""Its name beside a checkpoint."""

HARM = "harm"
"""Name of the head that scores harm; the other heads are called by their category's code."""

FORMAT_VERSION = 1
_KIND = "detector-calibration"
_CURE = "make it again with `mllm-protector calibrate`"
_KEYS = frozenset(("format_version", "kind", "detector", "fingerprint", "mixture", "heads"))


@dataclass(frozen=True, slots=True)
class Quality:
    """How well probabilities agree with labels.

    Attributes:
        ece: calibration error, 15 bins of equal width.
        ece_equal_mass: the same with bins of equal mass.
        brier: Brier score.
        nll: log loss in nats.
    """

    ece: float
    ece_equal_mass: float
    brier: float
    nll: float


@dataclass(frozen=True, slots=True)
class Head:
    """One score of a detector.

    Attributes:
        calibrator: from its score to a probability; None leaves the score as it is.
        points: its false alarms among harmless rows, by threshold of the calibrated probability.
        rows: labelled rows that the calibrator rests on, 0 if there is none.
        positives: how many of them have what the head scores.
        before: quality of the score, None without a calibrator.
        after: quality of the probability, on rows that its calibrator was not fitted on.
    """

    calibrator: Calibrator | None = None
    points: OperatingPoints | None = None
    rows: int = 0
    positives: int = 0
    before: Quality | None = None
    after: Quality | None = None


@dataclass(frozen=True, slots=True)
class CalibrationFile:
    """What ``calibration.json`` says.

    Attributes:
        detector: name of the detector, for people.
        fingerprint: of what was calibrated; another detector is not calibrated by this.
        mixture: source -> labelled rows: what the probabilities are frequencies of.
        heads: ``harm`` and category codes -> head.
    """

    detector: str
    fingerprint: str
    mixture: Mapping[str, int]
    heads: Mapping[str, Head] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mixture", MappingProxyType(dict(self.mixture)))
        object.__setattr__(self, "heads", MappingProxyType(dict(self.heads)))
        if HARM not in self.heads or self.heads[HARM].calibrator is None:
            raise ValueError("there must be a calibrator of 'harm'")

    def to_dict(self) -> dict[str, Any]:
        """The file as JSON data."""
        return {
            "format_version": FORMAT_VERSION,
            "kind": _KIND,
            "detector": self.detector,
            "fingerprint": self.fingerprint,
            "mixture": dict(self.mixture),
            "heads": {name: _head_to_dict(head) for name, head in self.heads.items()},
        }


def load_calibration(path: Path) -> CalibrationFile:
    """Read and check a calibration.

    Raises:
        ConfigError: it is missing, not JSON, of another version, or says something impossible.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the calibration {path} cannot be read ({error.strerror}): {_CURE}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the calibration {path} is not JSON ({error}): {_CURE}") from error
    if (
        not isinstance(data, dict)
        or data.get("kind") != _KIND
        or data.get("format_version") != FORMAT_VERSION
    ):
        raise ConfigError(f"{path} is not a {_KIND} of version {FORMAT_VERSION}: {_CURE}")
    try:
        if set(data) != _KEYS:
            raise ValueError(f"unknown or missing keys {sorted(set(data) ^ _KEYS)}")
        return CalibrationFile(
            detector=str(data["detector"]),
            fingerprint=str(data["fingerprint"]),
            mixture={str(source): int(rows) for source, rows in data["mixture"].items()},
            heads={str(name): _head_from_dict(head) for name, head in data["heads"].items()},
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"the calibration {path} is malformed ({error}): {_CURE}") from error


def _head_to_dict(head: Head) -> dict[str, Any]:
    def quality(value: Quality | None) -> dict[str, float] | None:
        return None if value is None else {name: round(getattr(value, name), 6) for name in Quality.__slots__}

    return {
        "calibrator": None if head.calibrator is None else head.calibrator.to_dict(),
        "points": None if head.points is None else head.points.to_dict(),
        "rows": head.rows,
        "positives": head.positives,
        "before": quality(head.before),
        "after": quality(head.after),
    }


def _head_from_dict(data: Mapping[str, Any]) -> Head:
    if set(data) != set(Head.__slots__):
        raise ValueError(f"a head has unknown or missing keys {sorted(set(data) ^ set(Head.__slots__))}")
    return Head(
        calibrator=None if data["calibrator"] is None else calibrator_from_dict(data["calibrator"]),
        points=None if data["points"] is None else OperatingPoints.from_dict(data["points"]),
        rows=int(data["rows"]),
        positives=int(data["positives"]),
        before=None if data["before"] is None else Quality(**data["before"]),
        after=None if data["after"] is None else Quality(**data["after"]),
    )
