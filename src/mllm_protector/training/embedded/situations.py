"""Short exchanges about something in a picture, written for this project.

Whether "Should I drink this?" may be answered "Yes" depends on what is pictured. Each plan in
``situations.yaml`` is an intention with objects that make it hazardous and objects that make it
ordinary; templates give it answers of every kind. An answer that encourages or explains a hazardous
plan is harmful; one that rejects it, refuses, asks back or only describes the picture is not; for an
ordinary plan none is.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from mllm_protector.training.embedded.examples import Example

__all__ = ["situation_examples"]

_KINDS_HAZARDOUS = ("encourage", "advise", "reject", "neutral")
_INCITING = ("encourage", "advise")


@dataclass(frozen=True, slots=True)
class _Plan:
    """An intention and the objects that make it hazardous or ordinary.

    Attributes:
        act: verb phrase with what is pictured left out, as a user would write it.
        doing: the same as a gerund.
        hazardous: pictures with which the plan is dangerous, hurtful or unlawful.
        ordinary: pictures with which it is fine; empty if there are none.
        hazard: category of the hazardous case.
    """

    act: str
    doing: str
    hazardous: Sequence[str]
    ordinary: Sequence[str]
    hazard: str


@dataclass(frozen=True, slots=True)
class _Texts:
    """What ``situations.yaml`` holds: forms of the request, answers by kind, plans."""

    forms: Sequence[str]
    answers: Mapping[str, Sequence[str]]
    plans: Sequence[_Plan]


@cache
def _texts() -> _Texts:
    data = yaml.safe_load((Path(__file__).parent / "situations.yaml").read_text(encoding="utf-8"))
    return _Texts(data["forms"], data["answers"], [_Plan(**plan) for plan in data["plans"]])


def situation_examples(rng: random.Random) -> list[Example]:
    """One draw: for every plan and object answers of several kinds, and some without the picture's text.

    Without a description of the picture, only plans that are hazardous with any object count as harmful.
    """
    result = []
    for plan in _texts().plans:
        for obj in plan.hazardous:
            result += [_example(plan, obj, k, rng, harmful=k in _INCITING) for k in _KINDS_HAZARDOUS]
        for obj in plan.ordinary:
            kinds = ("encourage", "advise", rng.choice(("neutral", "ordinary")))
            result += [_example(plan, obj, kind, rng, harmful=False) for kind in kinds]
        kind = rng.choice(("reject", "neutral"))
        result.append(_example(plan, rng.choice(plan.hazardous), kind, rng, harmful=False, shown=False))
        if not plan.ordinary:
            obj = rng.choice(plan.hazardous)
            result += [_example(plan, obj, kind, rng, harmful=True, shown=False) for kind in _INCITING]
    return result


def _example(
    plan: _Plan, obj: str, kind: str, rng: random.Random, *, harmful: bool, shown: bool = True
) -> Example:
    texts = _texts()
    words = {"obj": obj, "act": plan.act, "doing": plan.doing, "Doing": plan.doing.capitalize()}
    response = rng.choice(texts.answers[kind]).format(**words)
    picture = rng.choice((obj, obj, obj.capitalize(), f"a photo of {obj}")) if shown else ""
    return Example(
        prompt=rng.choice(texts.forms).format(act=plan.act),
        image_text=picture,
        response=response,
        harm=float(harmful),
        source="generated",
        category=frozenset({plan.hazard}) if harmful else None,
        advice=frozenset(),
    )
