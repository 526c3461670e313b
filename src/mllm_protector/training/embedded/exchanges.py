"""Exchanges written by hand for this project: requests with harmful and harmless answers.

Each file of ``exchanges/`` holds groups of one hazard: a request, mild harmful answers (they comply, but
give nothing usable) and harmless ones (a refusal with reasons, a safe and relevant answer). That several
answers share a request makes the detector read the answer. ``look_alikes.yaml`` has harmless answers only:
requests in words that alarm, answered in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from mllm_protector.training.embedded.examples import Example

__all__ = ["Exchange", "exchange_examples", "exchanges", "request_examples"]


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
    """

    request: str
    hazard: str | None
    harmful: Sequence[str] = ()
    harmless: Sequence[str] = ()
    image_text: str = ""
    advice: str | None = None


@cache
def exchanges() -> Sequence[Exchange]:
    """All groups of all files, in a fixed order."""
    files = sorted((Path(__file__).parent / "exchanges").glob("*.yaml"))
    contents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in files]
    return tuple(
        Exchange(hazard=content["hazard"], **group) for content in contents for group in content["groups"]
    )


def exchange_examples() -> list[Example]:
    """Every answer as an example of the source ``written``."""
    return [
        example
        for group in exchanges()
        for example in (
            *(_example(group, answer, harmful=True) for answer in group.harmful),
            *(_example(group, answer, harmful=False) for answer in group.harmless),
        )
    ]


def request_examples() -> list[Example]:
    """Every request that has a hazard, without an answer, for the category heads."""
    return [
        Example(group.request, "", None, "categorised", group.image_text, category=frozenset({group.hazard}))
        for group in exchanges()
        if group.hazard and group.harmful
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
