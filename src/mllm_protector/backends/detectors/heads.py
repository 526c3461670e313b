"""What the logits of a classification head mean (pure): which labels are harm, and how likely they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllm_protector.errors import ConfigError

__all__ = ["Head"]

_HARMFUL = frozenset(
    ("harmful", "unsafe", "toxic", "hate", "hateful", "offensive", "jailbreak", "unsafe_response")
)


class Head:
    """Reads logits.

    Args:
        names: the labels, in the order of the logits.
        harmful: labels that mean harm (names or numbers); None takes those whose name says so.
        safe: labels that mean no harm, instead of ``harmful``.
        logit: what the one logit of a one-label head stands for, ``harmful`` or ``safe``.
        several: labels do not exclude each other.
        labels: label -> native hazard category or categories.

    Raises:
        ConfigError: it is not clear which labels are harm, or one is unknown.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        harmful: Any = None,
        safe: Any = None,
        logit: str = "harmful",
        several: bool = False,
        labels: Mapping[str, str | Sequence[str]] | None = None,
    ) -> None:
        if harmful is not None and safe is not None:
            raise ConfigError("give either harmful or safe labels, not both")
        self._several, self._sign = several, -1.0 if logit == "safe" else 1.0
        self._single = len(names) == 1
        self._safe = None if safe is None or self._single else _numbers(names, safe)
        self._harmful: list[int] = []
        if not self._single and self._safe is None:
            self._harmful = _telling(names) if harmful is None else _numbers(names, harmful)
        self._codes = {
            _numbers(names, label)[0]: (codes,) if isinstance(codes, str) else tuple(codes)
            for label, codes in (labels or {}).items()
        }

    def harm(self, logits: NDArray[np.float64]) -> float:
        """Return P(harmful) of one input's logits: with several labels, that of the worst one."""
        each = self._each(logits)
        if self._single:
            return float(each[0])
        if self._safe is not None:
            return float(np.clip(1.0 - each[self._safe].sum(), 0.0, 1.0))
        chosen = each[self._harmful]
        return float(chosen.max() if self._several else np.clip(chosen.sum(), 0.0, 1.0))

    def categories(self, logits: NDArray[np.float64]) -> dict[str, float]:
        """Return the probability of each native category that a label stands for."""
        found: dict[str, float] = {}
        each = self._each(logits) if self._codes else ()
        for n, codes in self._codes.items():
            for code in codes:
                found[code] = max(float(each[n]), found.get(code, 0.0))
        return found

    def _each(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._single or self._several:
            sign = self._sign if self._single else 1.0
            p: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(sign * logits, -500.0, 500.0)))
            return p
        weights = np.exp(logits - logits.max())
        shares: NDArray[np.float64] = weights / weights.sum()
        return shares


def _telling(names: Sequence[str]) -> list[int]:
    chosen = [n for n, name in enumerate(names) if name.strip().lower().replace("-", "_") in _HARMFUL]
    if not chosen:
        raise ConfigError(
            f"which labels are harmful? give harmful: [...] or safe: [...] of {', '.join(names)}"
        )
    return chosen


def _numbers(names: Sequence[str], wanted: Any) -> list[int]:
    given = [wanted] if isinstance(wanted, str | int) else list(wanted)
    found = []
    for one in given:
        if one in names:
            found.append(names.index(one))
        elif isinstance(one, int) and 0 <= one < len(names):
            found.append(one)
        else:
            raise ConfigError(f"there is no label {one!r}; known: {', '.join(names)}")
    if not found:
        raise ConfigError(f"name at least one label of {', '.join(names)}")
    return found
