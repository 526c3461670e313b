"""``mllm-protector train``: a detector, a detoxifier or a joint model from labelled rows."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from mllm_protector.cli import options
from mllm_protector.cli.exits import INTERRUPTED
from mllm_protector.errors import MissingExtraError

__all__ = ["app", "load_training"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Train your own guard.\n\nExample:\n\n"
    "    mllm-protector train detector --recipe R.yaml --data rows.jsonl --base FOLDER -o guard",
)

Data = Annotated[
    list[str],
    typer.Option("--data", metavar="FILE|FOLDER|HUB-ID", help="A file, folder or hub id; may be repeated."),
]
Source = Annotated[
    Optional[list[str]],  # noqa: UP045 (typer reads it at run time)
    typer.Option(
        "--source",
        metavar="NAME",
        help="What --data is, see `data sources`; once, or once per --data.",
    ),
]
Base = Annotated[
    str,
    typer.Option("--base", metavar="FOLDER|HUB-ID", help="The pretrained model to start from."),
]
Out = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the checkpoint; resumable.")
]
Recipe = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--recipe", metavar="FILE", help="YAML of settings. (default: those of the trainer)"),
]
Dev = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--dev",
        metavar="FILE|FOLDER|HUB-ID",
        help="Data to choose by. (default: a share of the prompts)",
    ),
]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting that differs from the recipe; may be repeated."
    ),
]
Revision = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--revision", help="Branch, tag or commit of a hub id."),
]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch a hub id that is not on this machine. Never done unasked.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a finished model in DIR.")]
Restart = Annotated[bool, typer.Option("--restart", help="Drop an unfinished run in DIR.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Nothing on the terminal.")]


def load_training(module: str) -> Any:
    """Import ``mllm_protector.training.MODULE``.

    Raises:
        MissingExtraError: its packages are not installed.
    """
    try:
        return importlib.import_module(f"mllm_protector.training.{module}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"training needs {error.name}, which is missing; pip install 'mllm-protector[train]'"
        ) from error


def _add(kind: str, settings_name: str, what: str) -> None:
    """Add a command: the trainers differ in what they learn, not in how they are called."""

    @app.command(kind, help=what)
    def train(
        data: Data,
        base: Base,
        out: Out,
        source: Source = None,
        recipe: Recipe = None,
        dev: Dev = None,
        change: Set = None,
        revision: Revision = None,
        download: Download = False,
        overwrite: Overwrite = False,
        restart: Restart = False,
        quiet: Quiet = False,
    ) -> None:
        from mllm_protector.training.recipe import read_recipe
        from mllm_protector.training.records import read_records

        trainer = load_training(kind)
        settings = read_recipe(getattr(trainer, settings_name), recipe, options.key_values(change, "--set"))
        omitted: Counter[str] = Counter()
        rows = read_records(data, source or (), omitted=omitted)
        shared = source if source is not None and len(source) == 1 else ()
        looked = None if dev is None else read_records(dev, shared, omitted=omitted)
        if not quiet:
            options.tell_omitted(omitted)
        start = load_training("base").Base(base, revision, download)
        try:
            trainer.train(
                settings, rows, start, out, dev=looked, overwrite=overwrite, restart=restart, quiet=quiet
            )
        except KeyboardInterrupt as error:
            typer.echo(
                f"interrupted; run the same command again to go on from the last checkpoint in {out}",
                err=True,
            )
            raise typer.Exit(INTERRUPTED) from error
        if not quiet and (out / "checkpoint.json").exists():
            typer.echo(
                f"written: {out} (card.md says what it is, training/metrics.jsonl how it went)", err=True
            )


_add("detector", "DetectorSettings", "Train P(harmful), and categories, over an encoder or a causal model.")
_add(
    "detoxifier",
    "DetoxifierSettings",
    "Train a causal language model to write the safe answer in place of the harmful one.",
)
_add(
    "joint",
    "JointSettings",
    "Train one causal model that gives a verdict and writes a rewrite only where it is harmful.",
)
