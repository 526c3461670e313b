"""BeaverTails (Ji et al. 2023, arXiv 2307.04657): question and answer, fourteen categories, safe or not."""

from __future__ import annotations

from collections.abc import Iterator

from mllm_protector.data.sources.adapter import Adapter, Row, codes, flags, text, truth
from mllm_protector.data.training_record import TrainingRecord

__all__ = ["ADAPTER"]


def _read(row: Row) -> Iterator[TrainingRecord]:
    harmful = not truth(row, "is_safe")
    labels = codes("beavertails", flags(row, "category"))
    yield TrainingRecord(
        text(row, "prompt"),
        text(row, "response"),
        harmful,
        categories=labels if harmful else (),
        source=ADAPTER.name,
        licence=ADAPTER.licence,
    )


ADAPTER = Adapter(
    name="beavertails",
    title="BeaverTails, Ji et al. 2023, arXiv 2307.04657",
    licence="CC-BY-NC-4.0",
    mapping="is_safe -> harmful; 14 categories -> codes",
    schemas=(frozenset({"prompt", "response", "category", "is_safe"}),),
    read=_read,
    hub="PKU-Alignment/BeaverTails",
)
