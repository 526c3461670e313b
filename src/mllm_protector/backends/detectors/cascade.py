"""Two detectors in a row: a cheap one decides what is clear, a dear one what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mllm_protector.backends.detectors.members import fingerprint_of, member
from mllm_protector.errors import BackendError, ConfigError
from mllm_protector.taxonomy import ADVICE
from mllm_protector.types import Detection, Exchange

__all__ = ["CascadeDetector"]

_ADVICE = frozenset(category.code for category in ADVICE)


class CascadeDetector:
    """Asks the second detector only about exchanges that the first leaves in doubt.

    Where the second one is asked, its harm counts; categories and spans that it does not tell are the
    first's, lowered where it finds less harm. ``mllm-protector cascade`` chooses the band from labelled data.

    Args:
        first: ``{name: ..., options: {...}}`` of the cheap detector.
        second: the same of the dear one.
        low: P(harmful) from which the first is in doubt.
        high: P(harmful) up to which it is.
        fallback: where the second fails: ``error`` (the whole batch fails closed) or ``first`` (the first's
            word counts; an outage of the second then goes unnoticed, so choose it knowingly).
        threads: passed on to members that ask for it.

    Raises:
        ConfigError: the band or a member is not laid out as above.
    """

    def __init__(
        self,
        first: Mapping[str, Any],
        second: Mapping[str, Any],
        *,
        low: float,
        high: float,
        fallback: str = "error",
        threads: int | None = None,
    ) -> None:
        if not 0.0 <= low <= high <= 1.0:
            raise ConfigError(f"cascade: a band is 0 <= low <= high <= 1, not [{low!r}, {high!r}]")
        if fallback not in ("error", "first"):
            raise ConfigError(f"cascade: fallback is error or first, not {fallback!r}")
        self._first = member("cascade", first, threads)
        self._second = member("cascade", second, threads)
        self._low, self._high, self._falls_back = low, high, fallback == "first"

    @property
    def fingerprint(self) -> str:
        """What identifies its scores: its members', and the band."""
        return fingerprint_of("cascade", (self._first, self._second), self._low, self._high)

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one detection per exchange, in order.

        Raises:
            BackendError: the first detector failed, or the second and there is no fallback.
        """
        found = self._first.detect(exchanges) if exchanges else []
        if len(found) != len(exchanges):
            raise BackendError(
                f"cascade: the first detector gave {len(found)} for {len(exchanges)} exchanges"
            )
        due = [n for n, detection in enumerate(found) if self._low <= detection.harm <= self._high]
        if not due:
            return found
        try:
            seconds = self._second.detect([exchanges[n] for n in due])
            if len(seconds) != len(due):
                raise BackendError(
                    f"cascade: the second detector gave {len(seconds)} for {len(due)} exchanges"
                )
        except Exception as error:  # a detector of others raises what it likes
            if not self._falls_back:
                if isinstance(error, BackendError):
                    raise
                raise BackendError(f"cascade: the second detector failed: {error}") from error
            return found
        for n, second in zip(due, seconds, strict=True):
            found[n] = _joined(found[n], second)
        return found


def _joined(first: Detection, second: Detection) -> Detection:
    """The second's harm; what it does not tell is the first's, at most in proportion."""
    scale = min(1.0, second.harm / first.harm) if first.harm > 0.0 else 1.0
    advice = {code: p for code, p in first.categories.items() if code in _ADVICE}
    hazards = {code: p * scale for code, p in first.categories.items() if code not in _ADVICE}
    return replace(
        second, categories=advice | (dict(second.categories) or hazards), spans=second.spans or first.spans
    )
