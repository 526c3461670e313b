"""Exchanges written by hand for this project: requests with harmful and harmless answers.

Each file of ``exchanges/*/`` holds groups of one hazard: a request, mild harmful answers (they comply, but
give nothing usable) and harmless ones (a refusal with reasons, a safe and relevant answer). That several
answers share a request makes the detector read the answer. ``look_alikes.yaml`` has harmless answers only:
requests in words that alarm, answered in full. Each folder is of one author; of all but the oldest,
``hazards``, some groups are kept out of training, to see what an author teaches of others' texts.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from mllm_protector.training.embedded.examples import Example

__all__ = ["Exchange", "exchange_examples", "exchanges", "request_examples"]


_FOLDER = Path(__file__).parent / "exchanges"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and answers to it.

    Attributes:
        request: what was asked.
        hazard: code of what the harmful answers do; None where it is none of S1 to S14.
        harmful: answers that comply; none for a request that only sounds dangerous.
        harmless: answers that refuse, explain or help otherwise.
        image_text: what is read in the image.
        advice: code of the advice that the harmful answers give as if qualified.
        kept_out: never trained on.
    """

    request: str
    hazard: str | None
    harmful: Sequence[str] = ()
    harmless: Sequence[str] = ()
    image_text: str = ""
    advice: str | None = None
    kept_out: bool = False


@cache
def exchanges() -> Sequence[Exchange]:
    """All groups of all files, in a fixed order."""
    files = sorted(_FOLDER.glob("*/*.yaml"))
    return tuple(group for path in files for group in _groups(path))


def _groups(path: Path) -> list[Exchange]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    oldest = path.parent.name == "hazards"  # was trained on before any group was kept out
    return [
        Exchange(hazard=content["hazard"], kept_out=not oldest and _drawn(group["request"]), **group)
        for group in content["groups"]
    ]


def _drawn(request: str, percent: int = 8) -> bool:
    return zlib.crc32(f"exchange:{request}".encode()) % 100 < percent


def exchange_examples(*, kept_out: bool = False) -> list[Example]:
    """Every answer as an example of the source ``written``: of the groups to train on, or of the others."""
    return [
        example
        for group in exchanges()
        if group.kept_out is kept_out
        for example in (
            *(_example(group, answer, harmful=True) for answer in group.harmful),
            *(_example(group, answer, harmful=False) for answer in group.harmless),
        )
    ]


def request_examples() -> list[Example]:
    """Every request that has a hazard, without an answer, for the category heads; and ``requests.yaml``."""
    of_groups = [
        (group.hazard, group.request, group.image_text)
        for group in exchanges()
        if group.hazard and group.harmful and not group.kept_out
    ]
    alone = yaml.safe_load((_FOLDER / "requests.yaml").read_text(encoding="utf-8"))
    return [
        Example(request, "", None, "categorised", image_text, category=frozenset({hazard}))
        for hazard, request, image_text in (
            *of_groups,
            *((hazard, request, "") for hazard, requests in alone.items() for request in requests),
        )
    ]


def _example(group: Exchange, answer: str, *, harmful: bool) -> Example:
    return Example(
        prompt=group.request,
        response=answer,
        harm=float(harmful),
        source="written",
        image_text=group.image_text,
        category=frozenset({group.hazard}) if harmful and group.hazard else None,
        advice=frozenset({group.advice} if harmful and group.advice else ()),
    )
