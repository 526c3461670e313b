"""Where a run begins and ends: its folder, and from trained weights to a checkpoint with its card."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from mllm_protector.checkpoints import CARD, MANIFEST
from mllm_protector.data import TrainingRecord
from mllm_protector.data.files import write_whole
from mllm_protector.errors import OutputError, TrainingError
from mllm_protector.networks.harm import quiet_transformers, save_head
from mllm_protector.networks.manifest import TrainedManifest, sums
from mllm_protector.training.base import Base
from mllm_protector.training.loop import Outcome
from mllm_protector.training.recipe import LoopSettings, RunOptions

__all__ = [
    "RUN",
    "Story",
    "begin_folder",
    "identity_of",
    "licences_of",
    "rows_of",
    "write_checkpoint",
    "write_folder",
]

RUN = "training"
"""Folder of a run's checkpoints and metrics, inside the output folder."""


@dataclass(frozen=True, slots=True)
class Story:
    """What a model card tells.

    Attributes:
        kind: what was trained, in words.
        base: from what.
        settings: how.
        rows: source -> (rows, licence).
        counts: what was used, cut and left out, in words -> how often.
        outcome: how it went.
        dev: development rows.
    """

    kind: str
    base: Base
    settings: LoopSettings
    rows: Mapping[str, tuple[int, str]]
    counts: Mapping[str, int]
    outcome: Outcome
    dev: int


def begin_folder(out: Path, options: RunOptions) -> Path:
    """Return the folder of a run's checkpoints in ``out``, without what is to be dropped.

    Raises:
        OutputError: a finished model is there, or an unfinished run cannot be dropped.
    """
    if (out / MANIFEST).exists() and not options.get("overwrite"):
        raise OutputError(f"{out} holds a finished model: give --overwrite, or another output folder")
    run = out / RUN
    try:
        if options.get("restart") or (out / MANIFEST).exists():
            shutil.rmtree(run, ignore_errors=not run.exists())
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): choose another folder") from error
    return run


def identity_of(settings: LoopSettings, base: Base, records: Sequence[Sequence[TrainingRecord]]) -> str:
    """A digest of all that a run depends on; a checkpoint of another one is not resumed."""
    told = hashlib.sha256(json.dumps([asdict(settings), base.name, base.revision]).encode())
    for part in records:
        told.update(repr(list(part)).encode("utf-8", "backslashreplace"))
    return told.hexdigest()


def licences_of(base: Base, records: Sequence[TrainingRecord]) -> dict[str, str]:
    """The base model and every source, with what is known of their licences."""
    found = {f"base model {base.name}": "see its own card"}
    for record in records:
        if record.licence or record.source not in found:
            found[record.source] = record.licence or "not stated"
    return found


def rows_of(records: Sequence[TrainingRecord]) -> dict[str, tuple[int, str]]:
    """Source -> how many records, and their licence."""
    found: dict[str, tuple[int, str]] = {}
    for record in records:
        count, licence = found.get(record.source, (0, ""))
        found[record.source] = (count + 1, licence or record.licence or "not stated")
    return found


def write_checkpoint(
    out: Path, network: nn.Module, tokenizer: Any, manifest: TrainedManifest, story: Story
) -> None:
    """Write a trained network as a checkpoint folder.

    Args:
        out: the folder.
        network: built like the trained one; takes the outcome's weights.
        tokenizer: of transformers.
        manifest: all but the files and the kind of weights.
        story: for the card.

    Raises:
        TrainingError: the folder cannot be written; the run's checkpoints are kept.
    """
    transformer: Any = network.transformer
    network.load_state_dict(dict(story.outcome.weights))
    merged = story.settings.lora is not None and story.settings.lora.merge
    if merged:
        transformer = transformer.merge_and_unload()

    def fill(folder: Path) -> None:
        transformer.config.use_cache = True
        with quiet_transformers():
            transformer.save_pretrained(folder)
        if isinstance(head := getattr(network, "head", None), nn.Linear):
            save_head(head, folder)
        tokenizer.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty card
        (folder / CARD).write_text(_card(manifest, story), encoding="utf-8")

    adapted = story.settings.lora is not None and not merged
    manifest = replace(manifest, weights="adapter" if adapted else "whole")
    try:
        write_folder(out, manifest, fill)
    except OutputError as error:
        raise TrainingError(
            f"{error}; run the same command again, nothing that was learned is lost"
        ) from error
    for state in (out / RUN).glob("state-*"):
        shutil.rmtree(state)


def write_folder(out: Path, manifest: TrainedManifest, fill: Callable[[Path], None]) -> None:
    """Fill a new folder and move its files to ``out``, the manifest last: a folder that has it is complete.

    Raises:
        OutputError: it cannot be written.
    """
    part = out / ".part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        fill(part)
        files = sums(part)
        (out / MANIFEST).unlink(missing_ok=True)
        for name in _files_of_before(out):
            (out / name).unlink()
        for name in files:
            (part / name).replace(out / name)
        made = replace(manifest, files=files)
        write_whole(out / MANIFEST, json.dumps(made.to_dict(), indent=1, ensure_ascii=False) + "\n")
    except (OSError, RuntimeError, SafetensorError) as error:
        words = " ".join(str(error).split())[:200]
        raise OutputError(
            f"{out} cannot be written ({words}): free space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _files_of_before(out: Path) -> list[str]:
    """Weights of an earlier model: a whole one beside a new adapter would be read in its place."""
    patterns = ("*.safetensors*", "adapter_config.json", "config.json", "model.onnx*", "calibration.json")
    return [path.name for pattern in patterns for path in out.glob(pattern)]


def _card(manifest: TrainedManifest, story: Story) -> str:
    outcome = story.outcome
    figures = "".join(f"| {name} | {value:.4f} |\n" for name, value in outcome.metrics.items())
    rows = "".join(f"| {name} | {count} | {lic} |\n" for name, (count, lic) in story.rows.items())
    counts = "".join(f"* {what}: {count}\n" for what, count in story.counts.items())
    settings = "\n".join(f"    {key}: {value}" for key, value in asdict(story.settings).items())
    template = manifest.template.text if manifest.template is not None else f"layout {manifest.layout}"
    return f"""# {manifest.name}

A {story.kind}, trained by mllm-protector from `{story.base.name}` in {outcome.steps} updates; the weights
are those of update {outcome.best_step}.

## Data

| source | rows | licence |
|---|---|---|
{rows}
{counts}
Inputs longer than {manifest.max_length} tokens: see the template's rule (docs/train.md); training reads
their first part.

## Development rows ({story.dev})

Chosen for the smallest loss or highest AUROC on these rows, so expect somewhat less on others.

| figure | value |
|---|---|
{figures or "| none kept | |"}

## Input

```
{template}
```

## Settings

{settings}

## Limits

As trained it is not calibrated (`mllm-protector calibrate`): P(harmful) ranks, but 0.5 need not be the
threshold that fits your traffic. Measured on the rows above only. Before you rely on it: evaluate it on your
own answers, read a sample of its misses and false alarms, and check the licences of base model and data
against what you plan to do.
"""
