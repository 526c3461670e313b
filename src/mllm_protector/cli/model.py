"""``mllm-protector model``: the weights that judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from mllm_protector.cli import options

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Show and verify the model.\n\nExample:\n\n    mllm-protector model verify",
)

Folder = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads it at run time)
    typer.Argument(metavar="[FOLDER]", help="A trained model; the embedded one if left out."),
]


@app.command()
def info(
    folder: Folder = None,
    card: Annotated[bool, typer.Option("--card", help="Print the whole model card.")] = False,
    as_json: options.Json = False,
) -> None:
    """Say what the model is, what it was trained on and how large it is."""
    from mllm_protector.checkpoints import CARD, EMBEDDED, load_manifest
    from mllm_protector.errors import CheckpointError
    from mllm_protector.networks.manifest import KINDS, kind_of_folder, load_trained

    folder = folder or EMBEDDED
    trained = kind_of_folder(folder) in KINDS
    manifest = load_trained(folder) if trained else load_manifest(folder)
    if card:
        try:
            typer.echo((folder / CARD).read_text(encoding="utf-8"), nl=False)
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{folder / CARD} cannot be read; reinstall the package") from error
        return
    if as_json:
        typer.echo(json.dumps(manifest.to_dict(), ensure_ascii=False))
        return
    typer.echo(f"model      {manifest.name}\nfolder     {folder}")
    typer.echo(f"threshold  {manifest.threshold:g}\noutputs    {', '.join(manifest.outputs)}")
    for name, digest in manifest.files.items():
        path = folder / name
        size = f"{path.stat().st_size / 2**20:.1f} MB" if path.is_file() else "missing"
        typer.echo(f"file       {name}, {size}, SHA-256 {digest}")
    for source, licence in manifest.licences.items():
        typer.echo(f"licence    {source}: {licence}")


@app.command()
def verify(folder: Folder = None) -> None:
    """Check the SHA-256 of every file of the model."""
    from mllm_protector.checkpoints import EMBEDDED
    from mllm_protector.checkpoints import verify as verify_files
    from mllm_protector.networks.manifest import KINDS, kind_of_folder, verify_trained

    folder = folder or EMBEDDED
    trained = kind_of_folder(folder) in KINDS
    manifest = verify_trained(folder) if trained else verify_files(folder)
    typer.echo(f"{manifest.name}: {len(manifest.files)} files, all sums agree")
