"""Judgements in words for a terminal: cheap to import, no tables."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import typer

from mllm_protector.policy import Decision
from mllm_protector.taxonomy import CATEGORIES
from mllm_protector.types import Action, Detection, Exchange, Protection

__all__ = ["category_name", "describe_detection", "describe_protection", "excerpt", "plain", "top_categories"]

_COLOURS = {
    Action.ALLOW: "green",
    Action.FLAG: "yellow",
    Action.DISCLAIM: "yellow",
    Action.DETOXIFY: "magenta",
    Action.REFUSE: "red",
}
_WORTH_SHOWING = 0.1


def describe_detection(exchange: Exchange, detection: Detection, decision: Decision) -> None:
    """Print a judgement and what the policy would do about it."""
    action = decision.action
    verdict = "not flagged" if action is Action.ALLOW else f"flagged ({action.value})"
    typer.echo(typer.style(verdict, fg=_COLOURS[action], bold=True) + f"  harm {detection.harm:.2f}")
    typer.echo(f"why: {decision.reason}")
    if categories := top_categories(detection.categories):
        typer.echo("categories: " + ", ".join(f"{category_name(c)} {p:.2f}" for c, p in categories))
    for span in sorted(detection.spans, key=lambda s: -s.harm)[:3]:
        words = excerpt(exchange.response[span.start : span.end], 80)
        typer.echo(f"where: [{span.start}, {span.end}) harm {span.harm:.2f}  {words}")


def describe_protection(protection: Protection) -> None:
    """Say on stderr what was done; the text itself goes to standard output."""
    action = protection.action
    parts = [typer.style(action.value, fg=_COLOURS[action], bold=True)]
    if protection.harm is not None:
        recheck = protection.recheck
        parts.append(f"harm {protection.harm:.2f}" + (f" -> {recheck.harm:.2f}" if recheck else ""))
    parts.append(protection.reason)
    if protection.hazards:
        parts.append(", ".join(category_name(code) for code in protection.hazards[:3]))
    typer.echo("; ".join(part for part in parts if part), err=True)
    for planted in protection.third_party_instruction:
        words = excerpt(planted.text, 80)
        typer.secho(f"note: an image or a recording speaks to the model: {words}", err=True, fg="yellow")
    if protection.error:
        typer.secho(f"note: {plain(protection.error)}", err=True, fg="yellow")


def top_categories(categories: Mapping[str, float], least: float = _WORTH_SHOWING) -> list[tuple[str, float]]:
    """Return the categories worth a person's time, most probable first."""
    shown = [(code, value) for code, value in categories.items() if value >= least]
    return sorted(shown, key=lambda item: -item[1])


def category_name(code: str) -> str:
    """Return a code with its name, such as ``S2 Non-violent crimes``."""
    category = CATEGORIES.get(code)
    if category is None:
        return code
    return f"{code} {category.name}" if code.startswith("S") else category.name


def excerpt(text: str, width: int) -> str:
    """Return the first ``width`` characters on one line."""
    line = plain(" ".join(text[: width * 4].split()))
    return line if len(line) <= width else line[: width - 3] + "..."


def plain(text: str) -> str:
    """Return ``text`` without what steers a terminal: a judged response is not to be trusted with that."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _STEERING else "\ufffd" for c in text)


_STEERING = frozenset({"Cc", "Cf", "Cs"})
