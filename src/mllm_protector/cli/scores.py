"""Labelled answers scored by two detectors, kept from run to run: what ``cascade`` plans on."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from mllm_protector.cli.exits import INTERRUPTED
from mllm_protector.data.jsonl import parse_object, read_lines
from mllm_protector.data.records import to_exchange
from mllm_protector.errors import BackendError, InputError, OutputError, RecordError
from mllm_protector.interfaces import HarmDetector
from mllm_protector.types import Exchange

__all__ = ["Labelled", "read_labelled", "scored"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A labelled exchange.

    Attributes:
        exchange: the exchange.
        harmful: its label.
        key: what identifies it, and the detectors, among kept scores.
    """

    exchange: Exchange
    harmful: bool
    key: str


def read_labelled(file: Path, settings: str) -> list[Labelled]:
    """Return the labelled exchanges of JSON lines with prompt, response and harmful.

    Args:
        file: the file.
        settings: what scores depend on besides a line.

    Raises:
        InputError: the file cannot be read, or (RecordError) a line has no label.
    """
    examples = []
    try:
        with file.open("rb") as stream:
            for line in read_lines(stream):
                if line.blank:
                    continue
                record = parse_object(line)
                label = record.get("harmful")
                if label not in (0, 1):  # true and false among them
                    raise RecordError(
                        '"harmful" must be true or false: what is planned on has labels', line=line.number
                    )
                exchange = to_exchange(record, base=file.parent, line=line.number)
                key = hashlib.blake2b(settings.encode() + line.data.strip(), digest_size=12).hexdigest()
                examples.append(Labelled(exchange, bool(label), key))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); give a file of JSON lines") from error
    return examples


def scored(
    detectors: Sequence[HarmDetector], examples: Sequence[Labelled], store: Path | None, batch_size: int
) -> tuple[dict[str, tuple[float, float]], list[float]]:
    """Return both probabilities by key, and the seconds that each detector took for what was not known.

    Args:
        detectors: the cheap one and the dear one.
        examples: what to score.
        store: JSON lines of scores, taken up and added to; None keeps nothing.
        batch_size: exchanges judged together.

    Raises:
        BackendError: a detector failed; what was scored before is kept.
        InputError, OutputError: the store cannot be read or written.
    """
    from rich.console import Console
    from rich.progress import Progress

    found = {} if store is None else _known(store)
    due = list({e.key: e for e in examples if e.key not in found}.values())
    seconds = [0.0] * len(detectors)
    bar = Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
    try:
        with bar:
            task = bar.add_task("answers", total=len(due))
            for start in range(0, len(due), batch_size):
                batch = due[start : start + batch_size]
                columns = []
                for n, detector in enumerate(detectors):
                    began = time.monotonic()
                    columns.append(detector.detect([e.exchange for e in batch]))
                    seconds[n] += time.monotonic() - began
                    if len(columns[n]) != len(batch):
                        raise BackendError(
                            "a detector gave another number of detections than it was asked for"
                        )
                new = {e.key: (a.harm, b.harm) for e, a, b in zip(batch, *columns, strict=True)}
                if store is not None:
                    _keep(store, new)
                found |= new
                bar.update(task, advance=len(batch))
    except KeyboardInterrupt as error:
        kept = "run the same command again to go on" if store else "nothing was kept; --scores keeps it"
        typer.echo(f"interrupted; {kept}", err=True)
        raise typer.Exit(INTERRUPTED) from error
    return found, seconds


def _known(store: Path) -> dict[str, tuple[float, float]]:
    if not store.exists():
        return {}
    found = {}
    try:
        for line in store.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                found[str(row["key"])] = (float(row["first"]), float(row["second"]))
            except (ValueError, KeyError, TypeError):  # the last line of a run that was killed
                continue
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{store} cannot be read: {error}; give another --scores") from error
    return found


def _keep(store: Path, new: Mapping[str, tuple[float, float]]) -> None:
    lines = [json.dumps({"key": k, "first": a, "second": b}) + "\n" for k, (a, b) in new.items()]
    try:
        with store.open("ab+") as stream:
            if stream.tell():
                stream.seek(-1, 2)
                if stream.read(1) != b"\n":  # a run that was killed left half a line
                    stream.write(b"\n")
            stream.write("".join(lines).encode())
    except OSError as error:
        raise OutputError(f"{store} cannot be written: {error.strerror}; give another --scores") from error
