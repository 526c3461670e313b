"""``mllm-protector synthesise``: training data written by a model and confirmed by judges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from mllm_protector.cli import options
from mllm_protector.cli.counting import Counting
from mllm_protector.cli.exits import EXIT_CODES, INTERRUPTED

__all__ = ["app", "synthesise"]

app = typer.Typer(add_completion=False)

_WHAT = "What"

_HELP = f"""Write training data with a chat model, the way Safe-Harm-10K was made.

Scenarios give questions; each question gets a harmful and a safe answer; what every judge confirms becomes
two records: the harmful answer with its safe response, and the safe answer. Interrupted? The same command
goes on: answers are remembered, and the records are the same as without the interruption.

Example:

    mllm-protector synthesise --model openai:my-model --base-url http://localhost:8000/v1 -o made.jsonl

{EXIT_CODES}
"""


@app.command(help=_HELP)
def synthesise(
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.jsonl", help="Whole, or not there at all.")
    ],
    model: Annotated[
        Optional[str],  # noqa: UP045 (typer reads it at run time)
        typer.Option("--model", metavar="KIND:NAME", help="Who writes.", rich_help_panel=options.MODEL),
    ] = None,
    base_url: options.BaseUrl = None,
    model_option: options.ModelOption = None,
    judge: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--judge",
            metavar="NAME[=ARG]",
            help="As for `evaluate`; may be repeated, all have to agree. (default: llm=MODEL)",
            rich_help_panel=options.MODEL,
        ),
    ] = None,
    judge_base_url: options.JudgeBaseUrl = None,
    config: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--config", metavar="FILE", help="YAML with these options; the command line wins."),
    ] = None,
    scenarios: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--scenarios", metavar="FILE", help="(default: those that ship)", rich_help_panel=_WHAT),
    ] = None,
    show_scenarios: Annotated[  # noqa: ARG001 (its callback ends the command)
        bool,
        typer.Option(
            "--show-scenarios",
            help="Print the file that ships, to edit, and exit.",
            is_eager=True,
            callback=lambda wanted: _show_scenarios(wanted=wanted),
            rich_help_panel=_WHAT,
        ),
    ] = False,
    count: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--count", min=1, help="Questions to keep. (default: 100)", rich_help_panel=_WHAT),
    ] = None,
    source: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--source", help="Name in the records. (default: synthetic)", rich_help_panel=_WHAT),
    ] = None,
    licence: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--licence", help="What the model's terms allow; in the records.", rich_help_panel=_WHAT
        ),
    ] = None,
    budget_tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--budget-tokens", min=1, help="Begin no round beyond so many, resumed runs included."),
    ] = None,
    requests_per_minute: Annotated[
        Optional[float], typer.Option("--requests-per-minute", min=0.01, help="Of all models together.")  # noqa: UP045
    ] = None,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--workers", min=1, max=256, help="Requests under way at once. (default: 8)"),
    ] = None,
    seed: Annotated[Optional[int], typer.Option("--seed", help="Of the model. (default: 0)")] = None,  # noqa: UP045
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--cache", metavar="FILE", help="Where answers are kept. (default: OUT.jsonl.answers.sqlite)"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.jsonl.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Write training data."""
    import json

    from mllm_protector.cli.synthesis import Settings, load_settings, run, show_report
    from mllm_protector.errors import OutputError

    given: dict[str, Any] = {
        "model": model,
        "base_url": base_url,
        "model_options": options.key_values(model_option) or None,
        "judges": tuple(judge) if judge else None,
        "judge_base_url": judge_base_url,
        "scenarios": scenarios,
        "count": count,
        "source": source,
        "licence": licence,
        "budget_tokens": budget_tokens,
        "requests_per_minute": requests_per_minute,
        "workers": workers,
        "seed": seed,
    }
    base = {} if config is None else load_settings(config)
    merged = base | {key: value for key, value in given.items() if value is not None}
    if not merged.get("model"):
        raise typer.BadParameter(
            "give --model KIND:NAME, such as openai:my-model, or --config FILE with `model`"
        )
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists; give --overwrite to replace it, or another -o")
    settings = Settings(**merged)
    with Counting("questions kept", settings.count, quiet=quiet) as counting:
        try:
            report = run(settings, out, cache=cache, overwrite=overwrite, advanced=counting.advanced)
        except KeyboardInterrupt as error:
            typer.echo("interrupted; run the same command again to go on", err=True)
            raise typer.Exit(INTERRUPTED) from error
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
    elif not quiet:
        show_report(report, out)


def _show_scenarios(*, wanted: bool) -> None:
    if wanted:
        from mllm_protector.data.synthesis.scenarios import SHIPPED

        typer.echo(SHIPPED.read_text(encoding="utf-8"), nl=False)
        raise typer.Exit
