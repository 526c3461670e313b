"""WildGuardMix (Han et al. 2024, arXiv 2406.18495): prompts, plain and adversarial, with and without answers.

``subcategory`` is the prompt's. A null label is one that annotators did not agree on.
"""

from __future__ import annotations

from collections.abc import Iterator

from mllm_protector.data.sources.adapter import Adapter, Row, codes, optional_text, text, verdict
from mllm_protector.data.training_record import TrainingRecord

__all__ = ["ADAPTER"]

_WORDS = {"unharmful": False, "harmful": True}


def _read(row: Row) -> Iterator[TrainingRecord]:
    response = optional_text(row, "response")
    asked = verdict(row, "prompt_harm_label", _WORDS)
    harmful = None if response is None else verdict(row, "response_harm_label", _WORDS)
    unsafe = asked if response is None else harmful
    label = text(row, "subcategory")
    found = codes("wildguard", [label])
    yield TrainingRecord(
        text(row, "prompt"),
        response or "",
        harmful,
        categories=None if unsafe is None else found if unsafe else (),
        source=ADAPTER.name,
        licence=ADAPTER.licence,
    )


ADAPTER = Adapter(
    name="wildguardmix",
    title="WildGuardMix, Han et al. 2024, arXiv 2406.18495",
    licence="ODC-BY",
    mapping="response_harm_label -> harmful; subcategory -> codes; without a response: categories alone",
    schemas=(frozenset({"prompt", "response", "prompt_harm_label", "response_harm_label", "subcategory"}),),
    read=_read,
    hub="allenai/wildguardmix",
    config="wildguardtrain",
)
