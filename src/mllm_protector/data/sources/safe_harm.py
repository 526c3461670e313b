"""Safe-Harm-10K (Pi et al. 2024, arXiv 2401.02906): questions with a harmful and a safe answer.

The hub's file has no card. Three layouts are read: triples (question, harmful answer, safe answer), one
labelled answer per row, and the columns of PKU-SafeRLHF, which the reference trainers expect. Any other is
refused like any unknown schema.
"""

from __future__ import annotations

from collections.abc import Iterator

from mllm_protector.data.sources.adapter import Adapter, Row, text, truth
from mllm_protector.data.sources.pku_saferlhf import COLUMNS, pair_records
from mllm_protector.data.training_record import TrainingRecord

__all__ = ["ADAPTER"]

_TRIPLE = frozenset({"question", "harmful_answer", "safe_answer"})
_LABELLED = frozenset({"question", "answer", "harmful"})


def _read(row: Row) -> Iterator[TrainingRecord]:
    name, licence = ADAPTER.name, ADAPTER.licence
    if row.keys() >= COLUMNS:
        yield from pair_records(row, name, licence)
    elif row.keys() >= _TRIPLE:
        question, harmful, safe = (text(row, key) for key in ("question", "harmful_answer", "safe_answer"))
        yield TrainingRecord(question, harmful, True, safe_response=safe, source=name, licence=licence)
        yield TrainingRecord(question, safe, False, categories=(), source=name, licence=licence)
    else:
        label = truth(row, "harmful")
        known = None if label else ()
        yield TrainingRecord(
            text(row, "question"), text(row, "answer"), label, known, source=name, licence=licence
        )


ADAPTER = Adapter(
    name="safe-harm-10k",
    title="Safe-Harm-10K, Pi et al. 2024, arXiv 2401.02906",
    licence="none stated",
    mapping="harmful answer -> harmful with the safe answer as safe_response; safe answer -> harmless",
    schemas=(_TRIPLE, _LABELLED, COLUMNS),
    read=_read,
    hub="renjiepi/harmful_vs_unharmful",
)
