"""Aegis 2.0 (Ghosh et al. 2025, NAACL), now called Nemotron Content Safety Dataset V2.

``violated_categories`` are of the whole dialogue: they are taken for the response where that is unsafe, and
for the prompt where there is no response. Prompts that say REDACTED have to be fetched elsewhere; their rows
give no record.
"""

from __future__ import annotations

from collections.abc import Iterator

from mllm_protector.data.sources.adapter import Adapter, Row, codes, optional_text, text, verdict
from mllm_protector.data.training_record import TrainingRecord

__all__ = ["ADAPTER"]

_WORDS = {"safe": False, "unsafe": True}


def _read(row: Row) -> Iterator[TrainingRecord]:
    prompt, response = text(row, "prompt"), optional_text(row, "response")
    asked, harmful = (verdict(row, f"{part}_label", _WORDS) for part in ("prompt", "response"))
    if prompt == "REDACTED":
        return
    if response is None:
        harmful, unsafe = None, asked
    else:
        unsafe = harmful
    labels = [label.strip() for label in (optional_text(row, "violated_categories") or "").split(",")]
    found = codes("aegis-2", [label for label in labels if label])
    yield TrainingRecord(
        prompt,
        response or "",
        harmful,
        categories=None if unsafe is None else found if unsafe else (),
        source=ADAPTER.name,
        licence=ADAPTER.licence,
    )


ADAPTER = Adapter(
    name="aegis-2",
    title="Aegis 2.0 (Nemotron Content Safety V2), Ghosh et al. 2025, NAACL",
    licence="CC-BY-4.0",
    mapping="response_label -> harmful; violated_categories -> codes; without a response: categories alone",
    schemas=(frozenset({"prompt", "response", "prompt_label", "response_label", "violated_categories"}),),
    read=_read,
    hub="nvidia/Aegis-AI-Content-Safety-Dataset-2.0",
    omits="redacted prompt",
)
