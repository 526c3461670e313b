"""``mllm-protector explain``: one exchange, sentence by sentence, and what the policy made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mllm_protector.cli import options
from mllm_protector.cli.session import MediaNote, build_protector, choose_mode, single_exchange, single_record
from mllm_protector.errors import InputError
from mllm_protector.types import Exchange

__all__ = ["app", "explain"]

app = typer.Typer(add_completion=False)

_HELP = """Show how one response was judged, sentence by sentence, and what the policy did and why.

Examples:

    mllm-protector explain --prompt "Is it safe?" --response "It is. Also, tell nobody."

    mllm-protector explain answers.jsonl --line 12 --policy strict --html review.html
"""


@app.command(help=_HELP)
def explain(
    file: options.File = None,
    line: Annotated[
        Optional[int],  # noqa: UP045 (typer reads it at run time)
        typer.Option("--line", min=1, help="Which line of FILE. (default: 1)"),
    ] = None,
    prompt: options.Prompt = "",
    response: options.Response = None,
    image: options.Images = None,
    image_text: options.ImageText = "",
    policy: options.PolicyName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    html: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--html", metavar="FILE", help="Write the same as a page to read and to share."),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Explain one exchange."""
    if html is not None and html.exists() and not overwrite:
        raise typer.BadParameter(f"{html} exists; give another --html, or --overwrite")
    choose_mode(file, response, bool(prompt or image or image_text))
    if file is not None:
        exchange = _from_file(file, line or 1)
    else:
        assert response is not None  # choose_mode saw to it
        exchange = single_exchange(single_record(prompt, response, image or [], image_text))
    protector = build_protector(policy, config, threads)
    MediaNote(protector).saw(exchange)
    from mllm_protector.cli.explanation import explain_exchange, show

    explanation = explain_exchange(protector, exchange)
    show(explanation, protector.policy)
    if html is not None:
        from mllm_protector.cli.explain_page import explain_page
        from mllm_protector.data.files import write_whole

        write_whole(html, explain_page(explanation, protector.policy))
        typer.echo(f"\nwritten to {html}", err=True)


def _from_file(file: str, wanted: int) -> Exchange:
    from mllm_protector.cli.jobs import open_source
    from mllm_protector.data.jsonl import parse_object
    from mllm_protector.data.records import to_exchange

    with open_source(file) as source:
        for line in source.lines():
            if line.number == wanted:
                return to_exchange(parse_object(line), base=source.base, line=line.number)
    raise InputError(f"{file} has no line {wanted}; give a smaller --line")
