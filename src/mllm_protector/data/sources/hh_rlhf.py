"""HH-RLHF (Bai et al. 2022, arXiv 2204.05862): two transcripts, one preferred.

A preference says which answer is safer, not that the other is harmful: ``harmful`` stays unknown, and the
preferred answer is the ``safe_response``. The prompt is the last human turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from mllm_protector.data.sources.adapter import Adapter, Row, text
from mllm_protector.data.training_record import TrainingRecord
from mllm_protector.errors import InputError

__all__ = ["ADAPTER"]

_HUMAN, _ASSISTANT = "\n\nHuman:", "\n\nAssistant:"


def _read(row: Row) -> Iterator[TrainingRecord]:
    (before, rejected), (before_chosen, chosen) = _parted(row, "rejected"), _parted(row, "chosen")
    # In about one row of a hundred the transcripts part earlier: then the answers are to other questions.
    alike = before == before_chosen
    yield TrainingRecord(
        before.rpartition(_HUMAN)[2].strip(),
        rejected,
        None,
        safe_response=chosen if alike else None,
        source=ADAPTER.name,
        licence=ADAPTER.licence,
    )


def _parted(row: Row, key: str) -> tuple[str, str]:
    """Return a transcript up to its last answer, and that answer."""
    before, mark, answer = text(row, key).rpartition(_ASSISTANT)
    if not mark or _HUMAN not in before:
        raise InputError(f'the column "{key}" is no transcript with "Human:" and "Assistant:" turns')
    return before, answer.strip()


ADAPTER = Adapter(
    name="hh-rlhf",
    title="HH-RLHF, Bai et al. 2022, arXiv 2204.05862",
    licence="MIT",
    mapping="rejected -> response with harmful unknown; chosen -> safe_response",
    schemas=(frozenset({"chosen", "rejected"}),),
    read=_read,
    hub="Anthropic/hh-rlhf",
)
