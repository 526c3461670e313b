"""Train, dev and test by question: every record of a question falls into the same part.

The part is a hash of the folded question, so it depends on nothing else: not on the order, not on what
other records there are. Records added later leave every earlier one where it was.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from mllm_protector.data.similarity import fold
from mllm_protector.data.training_record import TrainingRecord
from mllm_protector.errors import InputError

__all__ = ["Splitter"]


class Splitter:
    """Says into which part a record falls.

    Args:
        parts: name -> share of the questions; shares sum to 1. The order of the names matters: where the
            first parts stay as they are, so do their records.
        seed: another seed, another split.

    Raises:
        InputError: the shares do not sum to 1, or one is not above 0.
    """

    def __init__(self, parts: Mapping[str, float], seed: int = 0) -> None:
        if not parts or min(parts.values()) <= 0 or not math.isclose(sum(parts.values()), 1.0, abs_tol=1e-6):
            shown = ", ".join(f"{name}={share:g}" for name, share in parts.items()) or "nothing"
            raise InputError(f"the shares of the parts must be above 0 and sum to 1, got {shown}")
        self._seed = seed
        self._ends: list[tuple[float, str]] = []
        end = 0.0
        for name, share in parts.items():
            end += share
            self._ends.append((end, name))

    def part(self, record: TrainingRecord) -> str:
        """Return the name of the part."""
        key = f"{self._seed}\n{fold(record.group) or record.group}".encode("utf-8", "surrogatepass")
        place = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64
        return next((name for end, name in self._ends if place < end), self._ends[-1][1])
