"""What a set of records consists of: classes, sources, categories, licences, lengths."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mllm_protector.data.training_record import TrainingRecord

__all__ = ["SourceCount", "Statistics", "quantile"]

_LONGEST = 4096
"""Words from which lengths are counted together: keeps the memory constant."""


@dataclass(slots=True)
class SourceCount:
    """Records of one source.

    Attributes:
        licence: as its records say.
        harmful, harmless, unknown: by label.
        safe_responses: how many carry one.
    """

    licence: str
    harmful: int = 0
    harmless: int = 0
    unknown: int = 0
    safe_responses: int = 0

    @property
    def records(self) -> int:
        """All of them."""
        return self.harmful + self.harmless + self.unknown


@dataclass(slots=True)
class Statistics:
    """Counts over records, taken one at a time.

    Attributes:
        records: how many.
        sources: name -> its counts.
        categories: code -> harmful records, or prompts without a response, that have it.
        licences: licence -> records.
        prompt_words, response_words: number of words -> records.
        empty_responses: records that label a prompt alone.
    """

    records: int = 0
    sources: dict[str, SourceCount] = field(default_factory=dict)
    categories: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    prompt_words: Counter[int] = field(default_factory=Counter)
    response_words: Counter[int] = field(default_factory=Counter)
    empty_responses: int = 0

    def add(self, record: TrainingRecord) -> None:
        """Count a record."""
        self.records += 1
        source = self.sources.setdefault(record.source, SourceCount(record.licence))
        source.harmful += record.harmful is True
        source.harmless += record.harmful is False
        source.unknown += record.harmful is None
        source.safe_responses += record.safe_response is not None
        self.categories.update(record.categories or ())
        self.licences[record.licence] += 1
        self.prompt_words[min(len(record.prompt.split()), _LONGEST)] += 1
        self.response_words[min(len(record.response.split()), _LONGEST)] += 1
        self.empty_responses += not record.response


def quantile(counts: Counter[int], share: float) -> int:
    """Return the smallest length that ``share`` of the records do not exceed; 0 if there are none."""
    left = share * counts.total()
    for length in sorted(counts):
        left -= counts[length]
        if left <= 0:
            return length
    return 0
