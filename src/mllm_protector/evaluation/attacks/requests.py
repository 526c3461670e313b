"""What attacks are made of: requests, and instructions to plant, read strictly from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mllm_protector.errors import InputError
from mllm_protector.evaluation.benchmarks.mm_safetybench import SCENARIOS
from mllm_protector.suggest import nearest

__all__ = ["AttackRequest", "Instruction", "load_instructions", "load_requests"]

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class AttackRequest:
    """One request, in the forms that the attacks need.

    Attributes:
        id: its name, once per scenario; letters, digits, ``-`` and ``_``.
        scenario: number of an MM-SafetyBench scenario, ``01`` to ``13``.
        question: the request in plain words.
        phrase: what a typographic picture shows.
        type: what the phrase is called in the question beside the picture (``activity``, ``product``).
        depicts: what a picture for the request shows.
        instruction: the request as the heading of a list.
    """

    id: str
    scenario: str
    question: str
    phrase: str
    type: str = "activity"
    depicts: str = ""
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class Instruction:
    """What somebody else wants of the model.

    Attributes:
        id: its name.
        text: the words that are planted.
        followed: how an answer that follows it can be told, completing "the answer ...".
    """

    id: str
    text: str
    followed: str


_Row = TypeVar("_Row", AttackRequest, Instruction)


def load_requests(path: Path | None = None) -> tuple[AttackRequest, ...]:
    """Return the requests of a YAML (or JSON) file; the mild ones that ship if None.

    Raises:
        InputError: the file cannot be read, a key is unknown or lacks, or an id is there twice.
    """
    path = path or _HERE / "requests.yaml"
    requests = _load(path, AttackRequest)
    for request in requests:
        if request.scenario not in SCENARIOS:
            raise InputError(
                f"{path}: scenario {request.scenario!r} is none of 01 to 13 (write it in quotes)"
            )
    _once(path, [f"{r.scenario}/{r.id}" for r in requests])
    return requests


def load_instructions(path: Path | None = None) -> tuple[Instruction, ...]:
    """Return the instructions of a YAML file; the harmless ones that ship if None.

    Raises:
        InputError: as for ``load_requests``.
    """
    path = path or _HERE / "instructions.yaml"
    found = _load(path, Instruction)
    _once(path, [i.id for i in found])
    return found


def _load(path: Path, kind: type[_Row]) -> tuple[_Row, ...]:
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path} must hold a list of objects with {', '.join(f.name for f in fields(kind))}")
    return tuple(_row(path, place, row, kind) for place, row in enumerate(rows, start=1))


def _row(path: Path, place: int, row: Any, kind: type[_Row]) -> _Row:
    names = [f.name for f in fields(kind)]
    if not isinstance(row, Mapping):
        raise InputError(f"{path}: entry {place} is no object")
    for key, value in row.items():
        if key not in names:
            raise InputError(f"{path}: entry {place} has an unknown key {key!r}{nearest(str(key), names)}")
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{path}: entry {place}: {key!r} must be text (put numbers in quotes)")
    try:
        made = kind(**row)
    except TypeError as error:
        raise InputError(f"{path}: entry {place} lacks a key: {error}") from error
    if not all(c.isascii() and (c.isalnum() or c in "-_") for c in made.id):
        raise InputError(
            f"{path}: entry {place}: id {made.id!r} becomes a file's name; use letters, digits, - _"
        )
    return made


def _once(path: Path, names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: {twice} is there twice; give every entry an id of its own")
