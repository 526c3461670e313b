"""``mllm-protector export``: from a trained checkpoint to one that is served."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mllm_protector.cli.train import load_training

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A folder that `train` wrote.")],
    out: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="A new folder.")],
    int8: Annotated[bool, typer.Option("--int8", help="Quantise a detector to 8 bits.")] = False,
    data: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer reads it at run time)
        typer.Option(
            "--data", metavar="FILE|FOLDER|HUB-ID", help="Data for the parity report. (default: eight texts)"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model in DIR.")] = False,
) -> None:
    """Write a detector as ONNX with a parity report, or a model that writes as whole weights.

    Example:

        mllm-protector export guard -o guard-int8 --int8
    """
    from mllm_protector.training.records import read_records

    exporting = load_training("export")
    texts = exporting.PROBES if data is None else [record.exchange for record in read_records(data)]
    parity = exporting.export(checkpoint, out, int8=int8, texts=texts, overwrite=overwrite)
    if parity is not None:
        typer.echo(
            f"{out}: P(harmful) of {parity.texts} texts differs by {parity.mean:.4f} on average, "
            f"{parity.largest:.4f} at most; {parity.flipped:.1%} change sides",
            err=True,
        )
