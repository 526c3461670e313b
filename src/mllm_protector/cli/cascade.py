"""``mllm-protector cascade``: choose what a cheap detector passes on to a dear one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mllm_protector.cli import options
from mllm_protector.cli.exits import EXIT_CODES
from mllm_protector.errors import InputError, OutputError

if TYPE_CHECKING:
    from mllm_protector.evaluation.cascade import Row
    from mllm_protector.interfaces import HarmDetector
    from mllm_protector.types import Detection, Exchange

__all__ = ["app"]

_HELP = f"""Choose which answers a cheap detector passes on to a dear one, from labelled answers.

Examples:

    mllm-protector cascade dev.jsonl --second qwen3guard --second-option endpoint=http://localhost:8000/v1
    --cost-ratio 100 --max-escalation 0.1 -o guard.yaml

Each line of FILE has prompt, response and "harmful" (true or false). Bands are chosen on half of the prompts
and told on the other half too. OUT.yaml is a configuration for --config. With --scores, what both detectors
said is kept, and an interrupted run goes on.

{EXIT_CODES}
"""

app = typer.Typer(add_completion=False)


@app.command(help=_HELP)
def cascade(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines with prompt, response, harmful.")],
    second: Annotated[str, typer.Option("--second", metavar="NAME", help="The dear detector.")],
    first: Annotated[str, typer.Option("--first", metavar="NAME", help="The cheap detector.")] = "embedded",
    first_option: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer reads it at run time)
        typer.Option("--first-option", metavar="KEY=VALUE", help="An option of it; may be repeated."),
    ] = None,
    second_option: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--second-option", metavar="KEY=VALUE", help="An option of it; may be repeated."),
    ] = None,
    cost_ratio: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--cost-ratio", min=0.0, help="Cost of the second in units of the first. (default: by time)"
        ),
    ] = None,
    max_escalation: Annotated[
        float, typer.Option("--max-escalation", min=0.0, max=1.0, help="Most that may be passed on.")
    ] = 0.1,
    threshold: Annotated[
        float, typer.Option("--threshold", min=0.0, max=1.0, help="P(harmful) that counts as harmful.")
    ] = 0.5,
    fallback: Annotated[
        str,
        typer.Option(
            "--fallback", metavar="error|first", help="Where the second fails: fail, or trust the first."
        ),
    ] = "error",
    scores: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--scores", metavar="SCORES.jsonl", help="Keep what the detectors said here."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", metavar="OUT.yaml", help="Write the configuration here."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.yaml if it exists.")] = False,
    batch_size: options.BatchSize = 32,
    as_json: options.Json = False,
) -> None:
    """Plan a cascade."""
    from mllm_protector.cli.scores import score
    from mllm_protector.evaluation.cascade import BUDGETS, planning_half, trade_off
    from mllm_protector.evaluation.labelled import read_labelled
    from mllm_protector.registry import fingerprint, make

    if fallback not in ("error", "first"):
        raise typer.BadParameter("--fallback is error or first")
    if out is not None and out.exists() and not overwrite:
        raise OutputError(f"{out} exists; give --overwrite or another -o")
    members = [_member(first, first_option), _member(second, second_option)]
    examples = read_labelled([file], images=True)
    exchanges = [example.exchange for example in examples]
    detectors = [_Timed(make("detectors", m["name"], m.get("options", {}))) for m in members]
    harms = []
    for one, member in zip(detectors, members, strict=True):
        identity = fingerprint(member["name"], member.get("options", {}), one.detector)
        found = score(one, identity, exchanges, scores, batch_size)
        harms.append([detection.harm for detection in found])
    ratio = _ratio(detectors) if cost_ratio is None else cost_ratio
    rows = trade_off(
        harms[0],
        harms[1],
        [e.harmful for e in examples],
        planning_half([e.exchange.query.prompt for e in examples]),
        cost_ratio=ratio,
        budgets=(*(b for b in BUDGETS), max_escalation),
        threshold=threshold,
    )
    chosen = next(row for row in rows if row.budget == max_escalation)
    if as_json:
        typer.echo(
            json.dumps(
                {"cost_ratio": ratio, "rows": [_values(row) for row in rows], "chosen": _values(chosen)}
            )
        )
    else:
        _show(rows, chosen, ratio)
    if not chosen.held_out.f1 > rows[0].held_out.f1:
        typer.secho(
            "note: on the held-out half the chosen band is no better than the first detector alone",
            err=True,
            fg="yellow",
        )
    if out is not None:
        _write(out, members, chosen, fallback)


def _member(name: str, given: list[str] | None) -> dict[str, Any]:
    made = options.key_values(given, "--first-option or --second-option")
    return {"name": name, "options": made} if made else {"name": name}


@dataclass(slots=True)
class _Timed:
    """A detector whose time is taken: only what was not known is asked for."""

    detector: HarmDetector
    seconds: float = 0.0
    answers: int = 0

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        began = time.perf_counter()
        found = self.detector.detect(exchanges)
        self.seconds += time.perf_counter() - began
        self.answers += len(exchanges)
        return found


def _ratio(detectors: Sequence[_Timed]) -> float:
    if not all(one.answers for one in detectors):
        raise InputError("every score was known, so there is no time to compare; give --cost-ratio")
    first, second = (one.seconds / one.answers for one in detectors)
    return second / max(first, 1e-9)


def _values(row: Row) -> dict[str, Any]:
    return asdict(row)


def _show(rows: Sequence[Row], chosen: Row, ratio: float) -> None:
    from mllm_protector.cli.grid import show
    from mllm_protector.evaluation.rendering.tables import Table, number, percent

    def cells(row: Row) -> tuple[str, ...]:
        nothing = row.band.low > row.band.high
        band = "none" if nothing else f"[{row.band.low:.3g}, {row.band.high:.3g}]"
        halves = [
            cell
            for half in (row.planned, row.held_out)
            for cell in (percent(half.escalated), f"{half.cost:.1f}", number(half.f1), number(half.auroc))
        ]
        return (f"{percent(row.budget)}{' *' if row is chosen else ''}", band, *halves)

    names = ("passed on", "cost", "F1", "AUROC")
    head = ("budget", "band", *names, *(f"{name}, held out" for name in names))
    note = f"Cost of an answer in units of the first detector; the second costs {ratio:.1f}. * is chosen."
    show(Table("What is passed on to the second detector", head, tuple(map(cells, rows)), note))


def _write(out: Path, members: Sequence[dict[str, Any]], chosen: Row, fallback: str) -> None:
    import yaml

    from mllm_protector.data.files import write_whole

    if chosen.band.low > chosen.band.high:
        raise InputError(
            "no band within --max-escalation is better than the first detector alone; nothing is written"
        )
    settings = {
        "first": members[0], "second": members[1], "low": chosen.band.low, "high": chosen.band.high,
        "fallback": fallback,
    }  # fmt: skip
    config = {"detector": {"name": "cascade", "options": settings}}
    write_whole(out, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    typer.echo(f"{out}: give it to check, protect or serve as --config", err=True)
