"""``mllm-protector compare``: runs side by side, if they measured the same thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from mllm_protector.cli import options
from mllm_protector.cli.exits import EXIT_CODES

__all__ = ["app", "compare"]

app = typer.Typer(add_completion=False)

_HELP = f"""Compare finished runs of `evaluate`, sample by sample.

Example:

    mllm-protector compare out1 out2

Runs are compared only where benchmark, data, selection, judges and criteria agree; else it says what differs.
Every line is compared with the first one by an exact McNemar test on the samples that both judged.

{EXIT_CODES}
"""


@app.command(help=_HELP)
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Folders of finished runs.")],
    judge: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--judge", metavar="NAME", help="Whose verdicts. (default: the leading judge's)"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compare runs."""
    from dataclasses import asdict

    from mllm_protector.evaluation.compare import compare as compared

    result = compared(runs, judge)
    if as_json:
        values = json.loads(json.dumps(asdict(result)), parse_constant=lambda _: None)
        typer.echo(json.dumps(values, ensure_ascii=False))
        return
    from mllm_protector.cli.grid import show
    from mllm_protector.evaluation.rendering.tables import Table, p_value

    head = ("run", "defence", "attack success", "paired", "better", "worse", "p")
    rows = tuple(
        (c.run, c.defence, str(c.rate), str(c.pairs), str(c.better), str(c.worse), p_value(c.p))
        for c in result.contenders
    )
    show(Table(f"Attack success, judged by {result.judge}", head, rows, "Compared with the first line."))
    if result.differing:
        differing = tuple((key, *values) for key, values in result.differing.items())
        show(Table("What differs", ("setting", *(str(run) for run in runs)), differing))
