"""Options that several commands share, so that they are called and explained the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

__all__ = [
    "MODEL",
    "BadLine",
    "BaseUrl",
    "BatchSize",
    "ConfigFile",
    "File",
    "ImageText",
    "Images",
    "Json",
    "JudgeBaseUrl",
    "ModelOption",
    "OnBadLine",
    "Out",
    "Overwrite",
    "PolicyName",
    "Prompt",
    "Quiet",
    "Response",
    "Restart",
    "Threads",
    "key_values",
    "tell_omitted",
]

_ONE = "One exchange"
_MANY = "Many exchanges"
MODEL = "Model and judges"
"""Panel of the options that say who is asked."""


class BadLine(StrEnum):
    """What to do with a line that cannot be used."""

    FAIL = "fail"
    SKIP = "skip"


File = Annotated[
    Optional[str],  # noqa: UP045 (typer reads it at run time)
    typer.Argument(metavar="FILE|-", help="JSON lines with prompt and response; - is standard input."),
]
Prompt = Annotated[str, typer.Option("--prompt", help="What was asked.", rich_help_panel=_ONE)]
Response = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--response", help="What the model answered.", rich_help_panel=_ONE),
]
Images = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--image", metavar="PATH|URI", help="An image of the query; may be repeated.", rich_help_panel=_ONE
    ),
]
ImageText = Annotated[
    str, typer.Option("--image-text", help="What was read in the images.", rich_help_panel=_ONE)
]
BaseUrl = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--base-url", metavar="URL", help="Where the model is.", rich_help_panel=MODEL),
]
ModelOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--model-option",
        metavar="KEY=VALUE",
        help="Further options of it, such as dtype=bfloat16; may be repeated.",
        rich_help_panel=MODEL,
    ),
]
JudgeBaseUrl = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--judge-base-url", metavar="URL", help="Where the judge is.", rich_help_panel=MODEL),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_ONE)]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("-o", "--output", metavar="OUT.jsonl", help="Write here; resumable, complete or not there."),
]
PolicyName = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--policy", metavar="NAME|FILE", help="Standard of safety. (default: default)"),
]
ConfigFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--config", metavar="FILE", help="YAML that names other back-ends."),
]
Threads = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--threads", min=1, max=256, help="CPU threads. (default: the cores, at most 4)"),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, max=4096, help="Lines judged together.", rich_help_panel=_MANY)
]
OnBadLine = Annotated[
    BadLine,
    typer.Option(
        "--on-bad-line", help="Stop at a line that cannot be used, or skip it.", rich_help_panel=_MANY
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace OUT.jsonl if it exists.", rich_help_panel=_MANY)
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Drop an interrupted run and begin again.", rich_help_panel=_MANY)
]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", help="No progress and no summary.", rich_help_panel=_MANY)
]


def key_values(given: list[str] | None, option: str = "--model-option") -> dict[str, Any]:
    """Read KEY=VALUE of ``option``; a value is YAML: numbers and truth values are what they look like."""
    import yaml

    pairs = {}
    for item in given or []:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise typer.BadParameter(f"{option} {item!r}: write KEY=VALUE")
        pairs[key.replace("-", "_")] = yaml.safe_load(value)
    return pairs


def tell_omitted(omitted: Mapping[str, int]) -> None:
    """Say which rows of training data gave no record: what they are -> how many."""
    for reason, count in omitted.items():
        typer.secho(f"note: {count} rows give no record: {reason}", err=True, fg="yellow")
