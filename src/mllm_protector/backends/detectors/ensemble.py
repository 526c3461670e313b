"""Several detectors as one: each judges everything, and their probabilities are put together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mllm_protector.backends.detectors.members import fingerprint_of, member
from mllm_protector.errors import BackendError, ConfigError
from mllm_protector.types import Detection, Exchange, Span

__all__ = ["EnsembleDetector"]

_EDGE = 1e-6  # a logit mean lets no member decide alone by a probability of exactly 0 or 1


class EnsembleDetector:
    """Puts the harm of several detectors together.

    A category's probability is put together over the members that tell it; spans are those of the member
    that finds the most harm.

    Args:
        members: each ``{name: ..., options: {...}, weight: 1.0}``.
        combine: ``mean``, ``logit-mean`` (the mean of log odds, which a sure member moves more) or ``max``.
            Weights count in both means.
        threads: passed on to members that ask for it.

    Raises:
        ConfigError: there is no member, or one is not laid out as above.
    """

    def __init__(
        self, members: Sequence[Mapping[str, Any]], *, combine: str = "mean", threads: int | None = None
    ) -> None:
        if combine not in ("mean", "logit-mean", "max"):
            raise ConfigError(f"ensemble: combine is mean, logit-mean or max, not {combine!r}")
        if not isinstance(members, list | tuple) or not members:
            raise ConfigError("ensemble: give members, such as [{name: embedded}, {name: qwen3guard}]")
        self._combine = combine
        self._weights = [_weight(given) for given in members]
        self._members = [member("ensemble", given, threads, extra="weight") for given in members]

    @property
    def fingerprint(self) -> str:
        """What identifies its scores: its members', their weights, and how they are put together."""
        return fingerprint_of("ensemble", self._members, self._weights, self._combine)

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one detection per exchange, in order.

        Raises:
            BackendError: a member failed, or gave another number of detections.
        """
        columns = [one.detect(exchanges) for one in self._members] if exchanges else []
        for column in columns:
            if len(column) != len(exchanges):
                raise BackendError(f"ensemble: a member gave {len(column)} for {len(exchanges)} exchanges")
        return [self._joined([column[n] for column in columns]) for n in range(len(exchanges))]

    def _joined(self, found: Sequence[Detection]) -> Detection:
        codes = dict.fromkeys(code for detection in found for code in detection.categories)
        categories = {}
        for code in codes:
            told = [n for n, detection in enumerate(found) if code in detection.categories]
            categories[code] = self._together(
                [found[n].categories[code] for n in told], [self._weights[n] for n in told]
            )
        harm = self._together([detection.harm for detection in found], self._weights)
        spans: tuple[Span, ...] = max(found, key=lambda detection: detection.harm).spans
        return Detection(harm, categories, spans)

    def _together(self, values: Sequence[float], weights: Sequence[float]) -> float:
        if self._combine == "max":
            return max(values)
        if self._combine == "logit-mean":
            inside = [min(1.0 - _EDGE, max(_EDGE, p)) for p in values]
            odds = sum(w * math.log(p / (1.0 - p)) for p, w in zip(inside, weights, strict=True)) / sum(
                weights
            )
            return 1.0 / (1.0 + math.exp(-odds))
        mean = sum(w * p for p, w in zip(values, weights, strict=True)) / sum(weights)
        return min(1.0, max(0.0, mean))  # rounding may step over the edge


def _weight(given: Any) -> float:
    weight = given.get("weight", 1.0) if isinstance(given, Mapping) else 1.0
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0.0 < weight < math.inf:
        raise ConfigError(f"ensemble: a weight is a positive number, not {weight!r}")
    return float(weight)
