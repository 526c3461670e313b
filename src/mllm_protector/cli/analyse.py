"""``mllm-protector analyse``: look inside a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from mllm_protector.cli import options
from mllm_protector.cli.exits import EXIT_CODES

__all__ = ["app"]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Look inside a model.")


@app.callback()
def _root() -> None:
    """Look inside a model."""


@app.command(
    help="How a request that is drawn instead of written changes what a model says and how likely it holds "
    "harmful, safe and refusing answers.\n\nExample:\n\n"
    "    mllm-protector analyse vulnerability llava-hf/llava-1.5-7b-hf -o analysis\n\n"
    "In OUT: report.html, report.md, report.json and rows.jsonl, which holds the model's answers. An "
    f"interrupted run goes on when the same command is run again.\n\n{EXIT_CODES}"
)
def vulnerability(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Hub id or folder (transformers).")],
    out: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Folder of the results.")],
    items: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads it at run time)
        typer.Option("--items", metavar="FILE", help="id, question, harmful, safe. (default: mild ones)"),
    ] = None,
    judge: Annotated[
        str, typer.Option("--judge", metavar="NAME[=ARG]", help="Of the answers, as for `evaluate`.")
    ] = "detector",
    model_option: options.ModelOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the model.")] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no table.")] = False,
) -> None:
    """Compare text with pictures of text."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from mllm_protector.evaluation.backends import harm_seats, look_into
    from mllm_protector.evaluation.memory import AnswerStore
    from mllm_protector.evaluation.vulnerability import rendering
    from mllm_protector.evaluation.vulnerability.items import VERSIONS, load_items
    from mllm_protector.evaluation.vulnerability.run import run

    asked = load_items(items)
    (seat,) = harm_seats([judge], {}, seed, lambda: AnswerStore(None), 1)
    seeing = look_into(model, options.key_values(model_option), seed)
    settings = {"model": model, "options": " ".join(sorted(model_option or [])) or "none"}
    settings |= {"seed": str(seed), "judge": seat.identity}
    bar = Progress(console=Console(stderr=True), disable=quiet or not sys.stderr.isatty(), transient=True)
    with bar:
        task = bar.add_task("requests x versions", total=len(asked) * len(VERSIONS))
        analysis = run(
            out, asked, seeing, seat.judge, settings, on_row=lambda done: bar.update(task, completed=done)
        )
    if not quiet:
        table = Table(*rendering.HEADER, caption=rendering.READING, caption_justify="left")
        for row in rendering.to_rows(analysis):
            table.add_row(*row)
        Console().print(table)
        typer.echo(f"report: {out / 'report.html'}", err=True)
