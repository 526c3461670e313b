"""What ``data check`` found, as tables on a terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from mllm_protector.cli.grid import show
from mllm_protector.cli.render import category_name, excerpt
from mllm_protector.data.duplicates import Verdict
from mllm_protector.data.hygiene import Examination
from mllm_protector.data.statistics import quantile
from mllm_protector.evaluation.rendering.tables import Table
from mllm_protector.taxonomy import CATEGORIES

__all__ = ["as_values", "show_examination"]

_SHARES = {"median": 0.5, "p95": 0.95, "longest": 1.0}
_NAMED = 20
_WORDS = {
    Verdict.KEPT: "may stay",
    Verdict.EXACT: "exact duplicates",
    Verdict.NEAR: "near duplicates with the same label",
    Verdict.CONTRADICTORY: "the same text with both labels",
    Verdict.LEAKED: "in an evaluation set",
}


def as_values(found: Examination) -> dict[str, Any]:
    """Return everything as JSON values."""
    statistics = found.statistics
    return {
        "records": statistics.records,
        "verdicts": {verdict.name.lower(): found.count(verdict) for verdict in Verdict},
        "contradictory": found.numbers(Verdict.CONTRADICTORY),
        "leaked": found.leaked,
        "leaks": [
            {"against": name, "field": field, "match": match, "count": count}
            for (name, field, match), count in sorted(found.leaks.items())
        ],
        "examples": [asdict(example) for example in found.examples],
        "against": dict(found.against),
        "sources": {name: asdict(count) for name, count in sorted(statistics.sources.items())},
        "categories": {
            code: statistics.categories[code] for code in CATEGORIES if statistics.categories[code]
        },
        "licences": dict(statistics.licences),
        "words": {
            "prompt": {name: quantile(statistics.prompt_words, share) for name, share in _SHARES.items()},
            "response": {name: quantile(statistics.response_words, share) for name, share in _SHARES.items()},
        },
        "empty_responses": statistics.empty_responses,
        "omitted": dict(found.omitted),
        "bad_rows": found.bad_rows,
    }


def show_examination(found: Examination) -> None:
    """Print the tables; what needs a person's attention comes last."""
    values = as_values(found)
    statistics = found.statistics
    rows = tuple(
        (
            name,
            str(s.records),
            str(s.harmful),
            str(s.harmless),
            str(s.unknown),
            str(s.safe_responses),
            s.licence,
        )
        for name, s in sorted(statistics.sources.items(), key=lambda item: -item[1].records)
    )
    head = ("source", "records", "harmful", "harmless", "unlabelled", "with safe response", "licence")
    words = "; ".join(
        f"{part}: {', '.join(f'{name} {count}' for name, count in lengths.items())} words"
        for part, lengths in values["words"].items()
    )
    show(Table("Sources", head, rows, words))
    if values["categories"]:
        counts = tuple((category_name(code), str(count)) for code, count in values["categories"].items())
        show(Table("Categories", ("category", "records"), counts))
    verdicts = tuple((_WORDS[v], str(found.count(v)), _share(found, v)) for v in Verdict if found.count(v))
    show(Table("What may stay", ("records", "count", "share"), verdicts))
    if found.against:
        leaks = tuple(
            (name, str(size), *(str(_leaks(found, name, match)) for match in ("exact", "near", "inside")))
            for name, size in found.against.items()
        )
        show(Table("Leaks", ("evaluation set", "texts", "exact", "near", "inside of longer ones"), leaks))
    for example in found.examples:
        leak = example.leak
        typer.echo(
            f"record {example.record} ({example.source}): {leak.field} is in {leak.against} "
            f"({leak.match.value}, {leak.similarity:.2f}): {excerpt(example.text, 60)}"
        )
    if numbers := values["contradictory"]:
        more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
        typer.echo(f"both labels: records {', '.join(map(str, numbers[:_NAMED]))}{more}")
    for reason, count in found.omitted.items():
        typer.secho(f"note: {count} rows give no record: {reason}", err=True, fg="yellow")


def _leaks(found: Examination, name: str, match: str) -> int:
    return sum(count for (against, _, how), count in found.leaks.items() if (against, how) == (name, match))


def _share(found: Examination, verdict: Verdict) -> str:
    return f"{found.count(verdict) / found.statistics.records:.1%}"
