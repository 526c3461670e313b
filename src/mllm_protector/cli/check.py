"""``mllm-protector check``: how harmful is this response?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mllm_protector.cli import options
from mllm_protector.cli.exits import EXIT_CODES, FLAGGED
from mllm_protector.cli.jobs import FileOptions, exit_after, run_file, write_one
from mllm_protector.cli.session import MediaNote, build_protector, choose_mode, single_exchange, single_record
from mllm_protector.data.jsonl import to_json
from mllm_protector.data.records import CHECK_KEYS, detection_to_dict
from mllm_protector.data.stream import Judge, Judged
from mllm_protector.types import Action, Exchange

if TYPE_CHECKING:
    from mllm_protector.protector import Protector

__all__ = ["app", "check", "judge_with"]

app = typer.Typer(add_completion=False)

_FLAGGED = "flagged"

_HELP = f"""Judge responses and leave them as they are.

Examples:

    mllm-protector check --prompt "What is this?" --response "A cat on a sofa."

    mllm-protector check answers.jsonl -o judged.jsonl --policy strict

    cat answers.jsonl | mllm-protector check - | jq .flagged

Each line out is the line in, all its keys untouched, with "detection": {{harm, categories, spans}} and
"flagged" (whether the policy would act). Blank lines are passed over.

{EXIT_CODES}
"""


@app.command(help=_HELP)
def check(
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
    fail_on_flag: Annotated[
        bool, typer.Option("--fail-on-flag", help=f"End with code {FLAGGED} if anything was flagged.")
    ] = False,
    batch_size: options.BatchSize = 32,
    on_bad_line: options.OnBadLine = options.BadLine.FAIL,
    overwrite: options.Overwrite = False,
    restart: options.Restart = False,
    quiet: options.Quiet = False,
) -> None:
    """Judge one exchange or a file of them."""
    choose_mode(file, response, bool(prompt or image or image_text))
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
        progress = run_file(file, "check", protector, judge_with(protector), CHECK_KEYS, settings)
        if fail_on_flag and progress.labels.get(_FLAGGED):
            raise typer.Exit(FLAGGED)
        exit_after(progress)
        return
    assert response is not None  # choose_mode saw to it
    record = single_record(prompt, response, image or [], image_text)
    exchange = single_exchange(record)
    protector = build_protector(policy, config, threads)
    MediaNote(protector).saw(exchange)
    flagged = _check_one(protector, exchange, record, as_json=json, out=out, overwrite=overwrite)
    if flagged and fail_on_flag:
        raise typer.Exit(FLAGGED)


def judge_with(protector: Protector) -> Judge:
    """Return the judging of ``check`` as a function of a batch."""

    def judge(exchanges: Sequence[Exchange]) -> list[Judged]:
        judged = []
        for exchange, detection in zip(exchanges, protector.detect(exchanges), strict=True):
            flagged = protector.decide(exchange, detection).action is not Action.ALLOW
            added = {"detection": detection_to_dict(detection), "flagged": flagged}
            judged.append(Judged(added, _FLAGGED if flagged else "not flagged"))
        return judged

    return judge


def _check_one(
    protector: Protector,
    exchange: Exchange,
    record: dict[str, object],
    *,
    as_json: bool,
    out: options.Out,
    overwrite: bool,
) -> bool:
    """Print one judgement; return whether it was flagged."""
    detection = protector.detect([exchange])[0]
    decision = protector.decide(exchange, detection)
    flagged = decision.action is not Action.ALLOW
    if as_json or out is not None:
        line = {**record, "detection": detection_to_dict(detection), "flagged": flagged}
        write_one(to_json(line) + b"\n", out, overwrite=overwrite)
    else:
        from mllm_protector.cli.render import describe_detection

        describe_detection(exchange, detection, decision)
    return flagged
