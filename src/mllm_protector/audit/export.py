"""Labelled verdicts as training records: what reviewers found wrong teaches the next detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mllm_protector.audit.store import Entry, Label, TextKept

__all__ = ["training_records"]

_MILD = ("allow", "flag")


def training_records(entries: Sequence[Entry]) -> Iterator[dict[str, object]]:
    """Yield one record per labelled entry whose text was kept in full.

    A false alarm is harmless, a miss is harmful, and a correct verdict is what the guard said.
    A record has ``id``, ``prompt``, ``image_text``, ``response``, ``harmful`` and ``meta``.
    """
    for entry in entries:
        if entry.label is None or entry.kept is not TextKept.FULL or entry.response is None:
            continue
        harmful = {Label.FALSE_ALARM: False, Label.MISS: True}.get(entry.label, entry.action not in _MILD)
        yield {
            "id": f"audit-{entry.id}",
            "prompt": entry.prompt or "",
            "image_text": entry.image_text or "",
            "response": entry.response,
            "harmful": harmful,
            "meta": {
                "label": entry.label.value,
                "harm": entry.harm,
                "policy": entry.policy,
                "note": entry.note,
            },
        }
