"""PKU-SafeRLHF (Ji et al. 2024, arXiv 2406.15513): two answers per prompt, each judged by itself.

The first release (2023, ``round0``) has the two truth values alone; the second adds nineteen harm
categories and a severity per answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from mllm_protector.data.sources.adapter import Adapter, Row, codes, flags, text, truth
from mllm_protector.data.training_record import TrainingRecord

__all__ = ["ADAPTER", "COLUMNS", "pair_records"]

COLUMNS = frozenset({"prompt", "response_0", "response_1", "is_response_0_safe", "is_response_1_safe"})


def pair_records(row: Row, source: str, licence: str) -> Iterator[TrainingRecord]:
    """Yield a record per answer; a harmful one beside a safe one carries it as ``safe_response``.

    Where both are unsafe there is no safe answer, and none is invented.
    """
    prompt = text(row, "prompt")
    answers = [text(row, f"response_{n}") for n in (0, 1)]
    safe = [truth(row, f"is_response_{n}_safe") for n in (0, 1)]
    for n in (0, 1):
        other = 1 - n
        yield TrainingRecord(
            prompt,
            answers[n],
            harmful=not safe[n],
            categories=_categories(row, n, safe[n]),
            safe_response=answers[other] if safe[other] and not safe[n] else None,
            source=source,
            licence=licence,
        )


def _categories(row: Row, n: int, safe: bool) -> tuple[str, ...] | None:
    if safe:
        return ()
    key = f"response_{n}_harm_category"
    return codes("pku-saferlhf", flags(row, key)) if key in row else None


def _read(row: Row) -> Iterator[TrainingRecord]:
    return pair_records(row, ADAPTER.name, ADAPTER.licence)


ADAPTER = Adapter(
    name="pku-saferlhf",
    title="PKU-SafeRLHF, Ji et al. 2024, arXiv 2406.15513",
    licence="CC-BY-NC-4.0",
    mapping="is_response_N_safe -> harmful; 19 harm categories -> codes; the safe answer of a pair -> "
    "safe_response",
    schemas=(COLUMNS,),
    read=_read,
    hub="PKU-Alignment/PKU-SafeRLHF",
)
