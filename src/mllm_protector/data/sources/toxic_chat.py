"""ToxicChat (Lin et al. 2023, arXiv 2310.17389): real chats; the label is of what the *user* wrote.

Nobody judged the model's output, so the record is the user's text by itself (an empty prompt), with its
label.
"""

from __future__ import annotations

from collections.abc import Iterator

from mllm_protector.data.sources.adapter import Adapter, Row, text, truth
from mllm_protector.data.training_record import TrainingRecord

__all__ = ["ADAPTER"]


def _read(row: Row) -> Iterator[TrainingRecord]:
    toxic = truth(row, "toxicity")
    yield TrainingRecord(
        "",
        text(row, "user_input"),
        toxic,
        categories=None if toxic else (),
        source=ADAPTER.name,
        licence=ADAPTER.licence,
    )


ADAPTER = Adapter(
    name="toxic-chat",
    title="ToxicChat, Lin et al. 2023, arXiv 2310.17389",
    licence="CC-BY-NC-4.0",
    mapping="toxicity of user_input -> harmful, the text standing by itself; model_output is not labelled",
    schemas=(frozenset({"user_input", "model_output", "toxicity", "jailbreaking"}),),
    read=_read,
    hub="lmsys/toxic-chat",
    config="toxicchat0124",
)
