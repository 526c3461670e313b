"""Which records say the same twice, and which contradict each other.

* **Exact**: the same folded prompt, image text and response. The one that says more is kept (a label rather
  than none, a safe response rather than none), else the first.
* **Contradictory**: exact, with both labels. None of them is kept: nobody knows which is right.
* **Near**: a similar question, a similar response and the *same* label. A stock answer to another question
  is no duplicate, nor is another answer to the same one. Where the label differs, the small change is what
  matters: such contrasts are the best of training data, and both stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from mllm_protector.data.similarity import NearIndex, bands_of, digest, fold, joint_bands, sketch
from mllm_protector.data.training_record import TrainingRecord

__all__ = ["Duplicates", "Verdict"]


class Verdict(IntEnum):
    """What becomes of a record."""

    KEPT = 0
    EXACT = 1
    NEAR = 2
    CONTRADICTORY = 3
    LEAKED = 4


class Duplicates:
    """Takes records in order and keeps a verdict on each, one byte per record.

    Args:
        near: similarity in (0, 1] from which questions and responses are near duplicates; 1 looks for exact
            ones alone.
    """

    def __init__(self, near: float = 0.8) -> None:
        self.verdicts = bytearray()
        self._near = near
        self._first: dict[bytes, int] = {}
        self._labels: list[bool | None] = []
        self._says: list[int] = []
        # Records of different labels are never near duplicates, so each label has an index of its own.
        self._indexes: dict[bool | None, NearIndex] = {
            label: NearIndex(parts=2) for label in (None, False, True)
        }

    def add(self, records: Sequence[TrainingRecord]) -> None:
        """Judge further records; a later one may change the verdict on an earlier one."""
        questions = [fold(f"{r.prompt}\n{r.image_text}") for r in records]
        responses = [fold(r.response) for r in records]
        if self._near < 1:
            parts = [sketch(questions), sketch(responses)]
            signatures = np.concatenate(parts, axis=1)
            bands = joint_bands([bands_of(part) for part in parts])
        for place, record in enumerate(records):
            text = f"{questions[place]}\n{responses[place]}"
            verdict = self._exact(record, digest(text))
            if verdict is None and self._near < 1:
                index = self._indexes[record.harmful]
                _, score = index.nearest(signatures[place], bands[place])
                if score >= self._near:
                    verdict = Verdict.NEAR
                else:
                    index.add(signatures[place], bands[place])
            self.verdicts.append(Verdict.KEPT if verdict is None else verdict)

    def _exact(self, record: TrainingRecord, key: bytes) -> Verdict | None:
        """Return the verdict by the records of the same text; None leaves it to the near ones."""
        place = len(self.verdicts)
        says = 2 * (record.harmful is not None) + (record.safe_response is not None)
        self._labels.append(record.harmful)
        self._says.append(says)
        first = self._first.setdefault(key, place)
        if first == place:
            return None
        if self.verdicts[first] == Verdict.CONTRADICTORY:
            return Verdict.CONTRADICTORY
        labels = {self._labels[first], record.harmful}
        if labels == {True, False}:
            self.verdicts[first] = Verdict.CONTRADICTORY
            return Verdict.CONTRADICTORY
        if says <= self._says[first]:
            return Verdict.EXACT
        verdict = Verdict(self.verdicts[first])
        self.verdicts[first] = Verdict.EXACT
        self._first[key] = place
        # Under the same label its text is in the index already: that of the record it takes over from.
        return verdict if self._labels[first] == record.harmful else None
