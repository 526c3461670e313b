"""``mllm-protector evaluate``: how vulnerable a model is, what the guard changes, and what it costs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mllm_protector.cli import options
from mllm_protector.cli.exits import EXIT_CODES, INTERRUPTED

if TYPE_CHECKING:
    from mllm_protector.evaluation.report import Report

__all__ = ["app"]

_HELP = f"""Measure attack success, over-refusal and utility before and after the guard.

Examples:

    mllm-protector evaluate list

    mllm-protector evaluate --benchmark figstep --data DIR --answers answers.jsonl -o out

    mllm-protector evaluate --benchmark mm-safetybench --data DIR --model openai:NAME
    --base-url http://localhost:8000/v1 --judge llm=openai:JUDGE -o out

Recorded answers (JSON lines with id and response) need neither a model nor a network. In OUT: report.html,
report.md, report.json, and samples.jsonl with every text and verdict, harmful ones included. An interrupted
run goes on where it stopped when the same command is run again; a model is never asked the same thing twice.

{EXIT_CODES}
"""

_WHAT = "What is evaluated"
app = typer.Typer(add_completion=False, help=_HELP, invoke_without_command=True)


@app.callback()
def evaluate(
    ctx: typer.Context,
    benchmark: Annotated[
        Optional[str], typer.Option("--benchmark", metavar="NAME", help="See `evaluate list`.")  # noqa: UP045
    ] = None,
    data: Annotated[
        Optional[Path], typer.Option("--data", metavar="DIR", help="Folder (or file) of the benchmark.")  # noqa: UP045
    ] = None,
    out: Annotated[
        Optional[Path], typer.Option("-o", "--output", metavar="OUT", help="Folder of the results.")  # noqa: UP045
    ] = None,
    answers: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--answers", metavar="FILE", help="Recorded answers.", rich_help_panel=options.MODEL),
    ] = None,
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--model", metavar="KIND:NAME", help="A model to ask.", rich_help_panel=options.MODEL),
    ] = None,
    base_url: options.BaseUrl = None,
    model_option: options.ModelOption = None,
    judge: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--judge",
            metavar="NAME[=ARG]",
            help="llm=KIND:NAME, detector, detector=FOLDER, refusal, keyword; may be repeated, the first "
            "leads.",
            rich_help_panel=options.MODEL,
        ),
    ] = None,
    judge_base_url: options.JudgeBaseUrl = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Lead with the set's own labels of its recorded answers.",
            rich_help_panel=options.MODEL,
        ),
    ] = False,
    defence: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--defence",
            metavar="NAME",
            help="protector (default), refuse-only, detector-refusal, system-prompt, self-check; may be "
            "repeated.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    modality: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--modality", metavar="NAME", help="Only this one; may be repeated.", rich_help_panel=_WHAT
        ),
    ] = None,
    scenario: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--scenario", metavar="NAME", help="Only this one; may be repeated.", rich_help_panel=_WHAT
        ),
    ] = None,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--limit", min=1, help="Only so many samples, drawn with --seed.", rich_help_panel=_WHAT
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Of the draw and the model.", rich_help_panel=_WHAT)
    ] = 0,
    policy: options.PolicyName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Questions asked at once.")] = 8,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, max=4096, help="Samples taken together.")
    ] = 32,
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--cache", metavar="FILE", help="Where models' answers are kept. (default: in OUT)"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results in OUT.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Drop an interrupted run and begin again.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no table.")] = False,
) -> None:
    """Evaluate a benchmark, or list what there is."""
    if ctx.invoked_subcommand is not None:
        return
    if benchmark is None or data is None or out is None:
        raise typer.BadParameter(
            "give --benchmark NAME --data DIR -o OUT; `mllm-protector evaluate list` names them"
        )
    from mllm_protector.evaluation.evaluate import evaluate as run
    from mllm_protector.evaluation.plan import Plan

    plan = Plan(
        benchmark=benchmark,
        data=data,
        answers=answers,
        model=model,
        model_options={"base_url": base_url, **options.key_values(model_option)},
        judges=tuple(judge or ()),
        judge_options={"base_url": judge_base_url or base_url},
        labels=labels,
        defences=tuple(defence or ("protector",)),
        policy=policy,
        config=config,
        modalities=tuple(modality or ()),
        scenarios=tuple(scenario or ()),
        limit=limit,
        seed=seed,
        batch_size=batch_size,
        workers=workers,
        threads=threads,
        cache=cache,
    )
    progress = _Progress(quiet=quiet)
    try:
        report = run(plan, out, overwrite=overwrite, restart=restart, watcher=progress)
    except KeyboardInterrupt as error:
        progress.close()
        typer.echo("interrupted; run the same command again to go on", err=True)
        raise typer.Exit(INTERRUPTED) from error
    finally:
        progress.close()
    if not quiet:
        _show(report, out)


@app.command("list")
def list_benchmarks(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name the benchmarks: where to get each, its licence, and how it lies on disk."""
    import json
    from dataclasses import fields

    from mllm_protector.evaluation.benchmarks import BENCHMARKS

    cards = [loader.card for loader in BENCHMARKS.values()]
    if as_json:
        values = [{f.name: getattr(c, f.name) for f in fields(c)} for c in cards]
        typer.echo(
            json.dumps([v | {"expected": dict(v["expected"] or {})} for v in values], ensure_ascii=False)
        )
        return
    for card in cards:
        typer.secho(f"{card.name}  {card.title}", bold=True)
        typer.echo(f"    {card.citation}\n    {card.url}  ({card.licence})\n    holds {card.layout}")
        if card.modalities:
            typer.echo(f"    modalities: {', '.join(card.modalities)}")
        if card.note:
            typer.echo(f"    {card.note}")


class _Progress:
    """A bar on stderr, if that is a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None

    def started(self, done: int, total: int, /) -> None:
        """Show where the run stands."""
        if self._quiet:
            return
        if done:
            typer.echo(f"going on after sample {done} of an interrupted run", err=True)
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=total, completed=done)

    def advanced(self, done: int, /) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _show(report: Report, out: Path) -> None:
    """Print the overview, the scenarios of the first defence, and what to be careful about."""
    from mllm_protector.cli.grid import show
    from mllm_protector.evaluation.rendering.tables import defence_tables, overview, report_tables

    show(overview(report))
    for table in report_tables(report):
        show(table)
    if report.defences:
        for table in defence_tables(report.defences[0]):
            show(table)
    for warning in report.warnings:
        typer.secho(f"note: {warning}", err=True, fg="yellow")
    typer.echo(f"{report.evaluated} of {report.samples} samples; report: {out / 'report.html'}", err=True)
