"""``mllm-protector audit``: what the gateway wrote down, for reviewers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mllm_protector.audit import AuditStore, Label
from mllm_protector.cli.render import excerpt, plain
from mllm_protector.errors import InputError

if TYPE_CHECKING:
    from mllm_protector.audit import Entry

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List, show, label and export verdicts.\n\nExample:\n\n    mllm-protector audit list audit.db",
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The gateway's audit file.")]
Number = Annotated[int, typer.Argument(metavar="ID", help="Number of the verdict.")]


@app.command("list")
def list_entries(
    file: File,
    action: Annotated[
        Optional[str],  # noqa: UP045 (typer reads it at run time)
        typer.Option("--action", help="Only what was done so: allow, flag, disclaim, detoxify, refuse."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """List verdicts, the newest first."""
    with _opened(file) as store:
        for entry in store.entries(action=action, limit=limit):
            typer.echo(json.dumps(_plain(entry)) if as_json else _line(entry))


@app.command()
def show(file: File, number: Number) -> None:
    """Show one verdict with all that was kept of it."""
    with _opened(file) as store:
        for name, value in _plain(store.entry(number)).items():
            typer.echo(f"{name}: {plain(str(value))}")


@app.command()
def label(
    file: File,
    number: Number,
    word: Annotated[Label, typer.Argument(metavar="LABEL", help="correct, false-alarm or miss.")],
    note: Annotated[str, typer.Option("--note", help="A remark.")] = "",
) -> None:
    """Say whether a verdict was right."""
    with _opened(file) as store:
        store.label(number, word, note)
    typer.echo(f"{number}: {word.value}")


@app.command()
def export(
    file: File,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.jsonl", help="Write here.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.jsonl.")] = False,
) -> None:
    """Write labelled verdicts as training records; their text must have been kept in full."""
    from mllm_protector.audit.export import training_records
    from mllm_protector.data.files import write_whole

    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; give another -o, or --overwrite")
    with _opened(file) as store:
        entries = store.entries(labelled=True, newest_first=False)
    records = list(training_records(entries))
    write_whole(out, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    left = len(entries) - len(records)
    typer.echo(f"{len(records)} records" + (f", {left} without their text left out" if left else ""))


@contextmanager
def _opened(file: Path) -> Iterator[AuditStore]:
    with AuditStore(file, create=False) as store:
        yield store


def _line(entry: Entry) -> str:
    at = datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    harm = "    -" if entry.harm is None else f"{entry.harm:5.2f}"
    label = f"  [{entry.label.value}]" if entry.label else ""
    return (
        f"{entry.id:>7}  {at}  {entry.action:8}  {harm}  {entry.policy}  {excerpt(entry.reason, 60)}{label}"
    )


def _plain(entry: Entry) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in asdict(entry).items()}
