"""Writes harmful answers whose words were changed until a detector let them pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from mllm_protector.errors import InputError
from mllm_protector.evaluation.attacks.folder import BenchmarkFolder
from mllm_protector.evaluation.attacks.word_edits import EditBudget, Edited, edit_words
from mllm_protector.evaluation.labelled import LabelledRow
from mllm_protector.interfaces import HarmDetector
from mllm_protector.types import Exchange

__all__ = ["edit_response", "write_edited"]


def edit_response(
    detector: HarmDetector, exchange: Exchange, budget: EditBudget, *, below: float = 0.5, seed: int = 0
) -> Edited:
    """Change words of a response until its P(harmful) falls below ``below``; see ``edit_words``."""

    def score(texts: Sequence[str]) -> list[float]:
        return [d.harm for d in detector.detect([Exchange(exchange.query, text) for text in texts])]

    return edit_words(score, exchange.response, budget, below=below, seed=seed)


def write_edited(
    out: Path,
    detector: HarmDetector,
    identity: str,
    rows: Sequence[LabelledRow],
    budget: EditBudget,
    *,
    below: float = 0.5,
    seed: int = 0,
    on_edit: Callable[[int, Edited], None] = lambda _place, _edited: None,
) -> tuple[int, int]:
    """Write every harmful response that the detector finds, as it is and edited, as ``samples.jsonl``.

    ``edits/`` holds what each search found. An interrupted run goes on after the last of them.

    Args:
        identity: names the detector in the manifest.
        rows: labelled exchanges; only harmful ones are attacked.
        below: P(harmful) that lets a response pass.
        on_edit: told of each search that was run.

    Returns:
        How many were attacked, and how many of them pass now.

    Raises:
        InputError: no row is harmful and found by the detector.
        BackendError, OutputError: the detector failed, or a file cannot be written.
    """
    harmful = [row.exchange for row in rows if row.harmful]
    found = [e for e, d in zip(harmful, detector.detect(harmful), strict=True) if d.harm >= below]
    if not found:
        raise InputError("no harmful response is found by the detector: there is nothing to attack")
    told = [(e.query.prompt, e.query.image_text, e.response) for e in found]
    settings = {
        "attack": "words",
        "detector": identity,
        "budget": asdict(budget),
        "below": below,
        "seed": seed,
    }
    folder = BenchmarkFolder(out, settings | {"exchanges": told})
    passed = 0
    lines: list[str] = []
    for place, exchange in enumerate(found):
        name = f"edits/{place}.json"

        def made(exchange: Exchange = exchange, place: int = place) -> bytes:
            edited = edit_response(detector, exchange, budget, below=below, seed=seed + place)
            on_edit(place, edited)
            return (json.dumps(asdict(edited), ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")

        folder.add(name, made)
        edit = Edited(**json.loads((out / name).read_text(encoding="utf-8")))
        passed += edit.after < below
        base = {"prompt": exchange.query.prompt, "kind": "harmful", "harmful": 1}
        base |= {"image_text": exchange.query.image_text} if exchange.query.image_text else {}
        clean = {"id": f"{place}/clean", "response": exchange.response, "attack": "none"}
        changed = {"id": str(place), "response": edit.text, "attack": "word edits"}
        lines += [json.dumps(row | base, ensure_ascii=False) + "\n" for row in (clean, changed)]
    folder.add("samples.jsonl", lambda: "".join(lines).encode("utf-8", "backslashreplace"))
    folder.finish()
    return len(found), passed
