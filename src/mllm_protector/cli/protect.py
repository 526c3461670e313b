"""``mllm-protector protect``: deliver the response, mended where it has to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mllm_protector.cli import options
from mllm_protector.cli.exits import EXIT_CODES
from mllm_protector.cli.jobs import FileOptions, exit_after, run_file, write_one
from mllm_protector.cli.session import MediaNote, build_protector, choose_mode, single_exchange, single_record
from mllm_protector.data.jsonl import to_json
from mllm_protector.data.records import PROTECT_KEYS, protection_to_dict
from mllm_protector.data.stream import Judge, Judged
from mllm_protector.types import Exchange

if TYPE_CHECKING:
    from mllm_protector.protector import Protector

__all__ = ["app", "judge_with", "protect"]

app = typer.Typer(add_completion=False)

_HELP = f"""Deliver responses: benign ones byte for byte, harmful ones mended and judged again.

Examples:

    mllm-protector protect --prompt "What is this?" --response "A cat on a sofa."

    mllm-protector protect answers.jsonl -o safe.jsonl --policy children

    mllm-protector protect examples/exchanges.jsonl -o demo.jsonl --table

One exchange: what the user may see goes to standard output, what was done to standard error. A file: each
line out is the line in, all its keys untouched, with "protection": {{action, response, harm, recheck,
categories, attempts, detoxifier, error, third_party_instruction}}. Blank lines are passed over. An
interrupted run with -o goes on where it stopped when the same command is run again.

{EXIT_CODES}
"""


@app.command(help=_HELP)
def protect(
    file: options.File = None,
    prompt: options.Prompt = "",
    response: options.Response = None,
    image: options.Images = None,
    image_text: options.ImageText = "",
    json: options.Json = False,
    out: options.Out = None,
    policy: options.PolicyName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    table: Annotated[
        bool, typer.Option("--table", help="With FILE and -o: show a table of the results at the end.")
    ] = False,
    batch_size: options.BatchSize = 32,
    on_bad_line: options.OnBadLine = options.BadLine.FAIL,
    overwrite: options.Overwrite = False,
    restart: options.Restart = False,
    quiet: options.Quiet = False,
) -> None:
    """Guard one exchange or a file of them."""
    choose_mode(file, response, bool(prompt or image or image_text))
    if table and (file is None or out is None or not (out.is_file() or not out.exists())):
        raise typer.BadParameter("--table needs a FILE and -o OUT.jsonl")
    if file is not None:
        settings = FileOptions(
            out=out,
            overwrite=overwrite,
            restart=restart,
            batch_size=batch_size,
            skip_bad=on_bad_line is options.BadLine.SKIP,
            quiet=quiet,
            config=config,
        )
        protector = build_protector(policy, config, threads)
        progress = run_file(file, "protect", protector, judge_with(protector), PROTECT_KEYS, settings)
        if table and out is not None:
            from mllm_protector.cli.table import show_table

            show_table(out)
        exit_after(progress)
        return
    assert response is not None  # choose_mode saw to it
    record = single_record(prompt, response, image or [], image_text)
    exchange = single_exchange(record)
    protector = build_protector(policy, config, threads)
    MediaNote(protector).saw(exchange)
    _protect_one(protector, exchange, record, as_json=json, out=out, overwrite=overwrite)


def judge_with(protector: Protector) -> Judge:
    """Return the judging of ``protect`` as a function of a batch."""

    def judge(exchanges: Sequence[Exchange]) -> list[Judged]:
        return [
            Judged(
                {"protection": protection_to_dict(protection)},
                protection.action.value + (" after an error" if protection.error else ""),
            )
            for protection in protector.protect(exchanges)
        ]

    return judge


def _protect_one(
    protector: Protector,
    exchange: Exchange,
    record: dict[str, object],
    *,
    as_json: bool,
    out: options.Out,
    overwrite: bool,
) -> None:
    protection = protector.protect([exchange])[0]
    if as_json or out is not None:
        data = to_json({**record, "protection": protection_to_dict(protection)})
    else:
        # Bytes of an argument that were no UTF-8 come back as they were.
        data = protection.response.encode("utf-8", "surrogateescape")
    write_one(data + b"\n", out, overwrite=overwrite)
    if not as_json:
        from mllm_protector.cli.render import describe_protection

        describe_protection(protection)
