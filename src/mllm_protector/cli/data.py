"""``mllm-protector data``: training data read, looked through, converted and split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mllm_protector.cli import options
from mllm_protector.cli.counting import Counting
from mllm_protector.cli.exits import FLAGGED, SKIPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mllm_protector.data import TrainingRecord
    from mllm_protector.errors import RecordError

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Read, look through, convert and split training data.\n\nExample:\n\n"
    "    mllm-protector data check train.jsonl --against test=test.jsonl --out clean.jsonl",
)

Inputs = Annotated[
    list[str],
    typer.Argument(metavar="FILE|FOLDER|HUB-ID...", help="JSON lines, JSON, CSV, parquet, or hub ids."),
]
Source = Annotated[
    Optional[str],  # noqa: UP045 (typer reads it at run time)
    typer.Option(
        "--source", metavar="NAME", help="What it is, see `data sources`. (default: by its columns)"
    ),
]
NewFile = Annotated[
    Path, typer.Option("-o", "--output", metavar="OUT.jsonl", help="Whole, or not there at all.")
]
OnBadRow = Annotated[
    options.BadLine, typer.Option("--on-bad-line", help="Stop at a row that cannot be used, or skip it.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no summary.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class _BadRows:
    """Names each skipped row on stderr and counts them."""

    def __init__(self, choice: options.BadLine) -> None:
        self.count = 0
        self.hear: Callable[[RecordError], None] | None = (
            self._skipped if choice is options.BadLine.SKIP else None
        )

    def _skipped(self, error: RecordError) -> None:
        self.count += 1
        typer.secho(f"skipped: {' '.join(str(error).split())}", err=True, fg="yellow")

    def exit(self) -> None:
        """End with the code for skipped lines if there were any."""
        if self.count:
            raise typer.Exit(SKIPPED)


@app.command()
def sources(as_json: Json = False) -> None:
    """Name the data sets that can be read: columns, licence, and how labels are mapped."""
    from mllm_protector.data.sources import SOURCES

    if as_json:
        values = [
            {
                "name": a.name, "title": a.title, "licence": a.licence, "hub": a.hub, "mapping": a.mapping,
                "schemas": [sorted(schema) for schema in a.schemas], "detected": a.detected,
            }
            for a in SOURCES.values()
        ]  # fmt: skip
        typer.echo(json.dumps(values, ensure_ascii=False))
        return
    for a in SOURCES.values():
        typer.secho(f"{a.name}  {a.title}", bold=True)
        typer.echo(f"    licence {a.licence}" + (f"; hub {a.hub}" if a.hub else ""))
        for schema in a.schemas:
            typer.echo(f"    columns {', '.join(sorted(schema))}")
        typer.echo(f"    {a.mapping}")


@app.command()
def check(
    inputs: Inputs,
    source: Source = None,
    against: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--against", metavar="NAME=PATH", help="An evaluation set that must not be in it; repeat."
        ),
    ] = None,
    near: Annotated[
        float,
        typer.Option("--near", min=0.5, max=1.0, help="Similarity of near duplicates; 1: exact only."),
    ] = 0.8,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", "--out", metavar="CLEAN.jsonl", help="Write what may stay."),
    ] = None,
    fail_on_flag: Annotated[
        bool,
        typer.Option("--fail-on-flag", help=f"End with code {FLAGGED} if it leaks or contradicts itself."),
    ] = False,
    on_bad_line: OnBadRow = options.BadLine.FAIL,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look for duplicates, contradictions and leaks, and count what there is."""
    from mllm_protector.cli.data_report import as_values, show_examination
    from mllm_protector.data.hygiene import examine, load_all
    from mllm_protector.data.writing import RecordFile

    bad = _BadRows(on_bad_line)
    sets = _named(against or [])
    with Counting("records", quiet=quiet) as counting:
        found = examine(inputs, source, against=sets, near=near, on_bad=bad.hear, advanced=counting.advanced)
        if out is not None:
            again = load_all(inputs, source, None if bad.hear is None else lambda _: None)
            with RecordFile(out, overwrite=overwrite) as file:
                for record in found.kept(again):
                    file.write(record)
    if as_json:
        typer.echo(json.dumps(as_values(found), ensure_ascii=False))
    elif not quiet:
        show_examination(found)
    if fail_on_flag and not found.clean:
        raise typer.Exit(FLAGGED)
    bad.exit()


@app.command()
def convert(
    inputs: Inputs,
    out: NewFile,
    source: Source = None,
    on_bad_line: OnBadRow = options.BadLine.FAIL,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write any source as our own JSON lines, which the trainers read."""
    from mllm_protector.data.writing import RecordFile

    bad = _BadRows(on_bad_line)
    with Counting("records", quiet=quiet) as counting, RecordFile(out, overwrite=overwrite) as file:
        for record in _records(inputs, source, bad, quiet=quiet):
            file.write(record)
            counting.advanced(file.written)
    if not quiet:
        typer.echo(f"{file.written} records in {out}", err=True)
    bad.exit()


@app.command()
def split(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for one file per part.")],
    part: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--part", metavar="NAME=SHARE", help="May be repeated. (default: train=0.9, dev=0.1)"),
    ] = None,
    source: Source = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another split.")] = 0,
    on_bad_line: OnBadRow = options.BadLine.FAIL,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Split by question: no question is in two parts, and records added later move none."""
    from contextlib import ExitStack

    from mllm_protector.data.files import make_folder
    from mllm_protector.data.splits import Splitter
    from mllm_protector.data.writing import RecordFile

    shares = _shares(part or ["train=0.9", "dev=0.1"])
    splitter = Splitter(shares, seed)
    bad = _BadRows(on_bad_line)
    make_folder(out)
    with ExitStack() as stack:
        counting = stack.enter_context(Counting("records", quiet=quiet))
        files = {
            name: stack.enter_context(RecordFile(out / f"{name}.jsonl", overwrite=overwrite))
            for name in shares
        }
        for number, record in enumerate(_records(inputs, source, bad, quiet=quiet), start=1):
            files[splitter.part(record)].write(record)
            counting.advanced(number)
    if not quiet:
        for name, file in files.items():
            typer.echo(f"{file.written} records in {out / name}.jsonl", err=True)
    bad.exit()


def _records(
    inputs: list[str], source: str | None, bad: _BadRows, *, quiet: bool
) -> Iterator[TrainingRecord]:
    """Yield all records; say at the end which rows gave none, and fail if there was no record."""
    from collections import Counter

    from mllm_protector.data.hygiene import load_all
    from mllm_protector.errors import InputError

    omitted: Counter[str] = Counter()
    record = None
    for record in load_all(inputs, source, bad.hear, omitted):
        yield record
    if record is None:
        raise InputError(f"no records in {', '.join(inputs)}; give files that hold some")
    if not quiet:
        options.tell_omitted(omitted)


def _named(given: list[str]) -> dict[str, str]:
    pairs = {}
    for item in given:
        name, sign, path = item.partition("=")
        if not (name and sign and path):
            raise typer.BadParameter(f"--against {item!r}: write NAME=PATH")
        if name in pairs:
            raise typer.BadParameter(f"--against: the name {name!r} is given twice")
        pairs[name] = path
    return pairs


def _shares(given: list[str]) -> dict[str, float]:
    shares: dict[str, Any] = {}
    for item in given:
        name, _, share = item.partition("=")
        try:
            value = float(share)
        except ValueError:
            value = -1.0
        if value <= 0 or not name.replace("-", "").replace("_", "").isalnum():
            raise typer.BadParameter(f"--part {item!r}: write NAME=SHARE, such as dev=0.1")
        if name in shares:
            raise typer.BadParameter(f"--part: the name {name!r} is given twice")
        shares[name] = value
    return shares
