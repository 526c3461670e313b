"""Maps from a detector's score to a calibrated probability: temperature, Platt, isotonic.

All work on logits, so a network's raw output and a detector's P(harmful) are treated alike
(``to_logits`` turns the latter into the former), and all rise strictly with the score: a calibrated
detector ranks exactly as it did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Calibrator", "Isotonic", "Platt", "Temperature", "calibrator_from_dict", "sigmoid", "to_logits"]

Floats = NDArray[np.float64]

_EDGE = 30.0  # beyond this a float32 sigmoid is 0 or 1
_KEPT = 0.01  # share of the score's own sigmoid in an isotonic map: keeps the order on its flat stretches


def sigmoid(logits: ArrayLike) -> Floats:
    """Probabilities of logits; the ends are clipped so that nothing overflows."""
    clipped = np.clip(np.asarray(logits, dtype=np.float64), -_EDGE, _EDGE)
    return np.asarray(1.0 / (1.0 + np.exp(-clipped)), dtype=np.float64)


def to_logits(probabilities: ArrayLike) -> Floats:
    """Logits of probabilities; 0 and 1 become -30 and 30."""
    p = np.asarray(probabilities, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.log(p) - np.log1p(-p), -_EDGE, _EDGE), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Temperature:
    """``p = sigmoid(logit / temperature)`` (Guo et al. 2017, arXiv 1706.04599); 0.5 stays where it is.

    Attributes:
        temperature: positive; above 1 for a detector that is too sure of itself.
    """

    method: ClassVar[str] = "temperature"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _positive("temperature", self.temperature)

    def apply(self, logits: ArrayLike) -> Floats:
        """Return the probabilities of ``logits``, same shape."""
        return sigmoid(np.asarray(logits, dtype=np.float64) / self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """The calibrator as JSON data."""
        return {"method": self.method, "temperature": self.temperature}


@dataclass(frozen=True, slots=True)
class Platt:
    """``p = sigmoid(scale * logit + bias)`` (Platt 1999).

    Attributes:
        scale: multiplies the logit; positive.
        bias: is added to it.
    """

    method: ClassVar[str] = "platt"
    scale: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        _positive("scale", self.scale)
        if not math.isfinite(self.bias):
            raise ValueError(f"bias must be a number, got {self.bias!r}")

    def apply(self, logits: ArrayLike) -> Floats:
        """Return the probabilities of ``logits``, same shape."""
        return sigmoid(self.scale * np.asarray(logits, dtype=np.float64) + self.bias)

    def to_dict(self) -> dict[str, Any]:
        """The calibrator as JSON data."""
        return {"method": self.method, "scale": self.scale, "bias": self.bias}


@dataclass(frozen=True, slots=True)
class Isotonic:
    """The monotone map closest to the labels (Zadrozny and Elkan 2002), linear between its knots.

    One hundredth of the score's own sigmoid is mixed in, so that rows between which the labels cannot
    tell keep their order.

    Attributes:
        logits: the knots, strictly rising; at least one. Below the first and above the last the map is flat.
        values: probability at each knot, rising.
    """

    method: ClassVar[str] = "isotonic"
    logits: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.logits or len(self.logits) != len(self.values):
            raise ValueError("knots need as many values as logits, and at least one")
        if not all(math.isfinite(x) for x in self.logits) or not all(0.0 <= v <= 1.0 for v in self.values):
            raise ValueError("knots must be finite logits with probabilities in [0, 1]")
        if any(b <= a for a, b in zip(self.logits, self.logits[1:], strict=False)):
            raise ValueError("knots must rise")
        if any(b < a for a, b in zip(self.values, self.values[1:], strict=False)):
            raise ValueError("values must not fall")

    def apply(self, logits: ArrayLike) -> Floats:
        """Return the probabilities of ``logits``, same shape."""
        x = np.asarray(logits, dtype=np.float64)
        return (1.0 - _KEPT) * np.interp(x, self.logits, self.values) + _KEPT * sigmoid(x)

    def to_dict(self) -> dict[str, Any]:
        """The calibrator as JSON data."""
        return {"method": self.method, "logits": list(self.logits), "values": list(self.values)}


Calibrator = Temperature | Platt | Isotonic


def calibrator_from_dict(data: Mapping[str, Any]) -> Calibrator:
    """Read what ``to_dict`` wrote.

    Raises:
        ValueError, TypeError, KeyError: an unknown method, unknown or missing keys, or impossible values.
    """
    given = dict(data)
    method = given.pop("method")
    if method == Temperature.method:
        return Temperature(**_numbers(given, "temperature"))
    if method == Platt.method:
        return Platt(**_numbers(given, "scale", "bias"))
    if method == Isotonic.method:
        _only(given, "logits", "values")
        return Isotonic(*(tuple(float(v) for v in given[key]) for key in ("logits", "values")))
    raise ValueError(f"unknown method {method!r}; there are temperature, platt and isotonic")


def _numbers(given: Mapping[str, Any], *keys: str) -> dict[str, float]:
    _only(given, *keys)
    return {key: float(given[key]) for key in keys}


def _only(given: Mapping[str, Any], *keys: str) -> None:
    if set(given) != set(keys):
        raise ValueError(f"expected the keys {sorted(keys)}, found {sorted(given)}")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"{name} must be positive, got {value!r}")
