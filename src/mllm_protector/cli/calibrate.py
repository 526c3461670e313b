"""``mllm-protector calibrate``: probabilities that are frequencies, thresholds that keep a promise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mllm_protector.cli import options
from mllm_protector.cli.exits import EXIT_CODES

if TYPE_CHECKING:
    from mllm_protector.config import Config
    from mllm_protector.evaluation.calibrate import Calibrated
    from mllm_protector.evaluation.labelled import LabelledRow

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_HELP = f"""Calibrate a detector on labelled answers that it was not trained on.

Examples:

    mllm-protector calibrate --data dev.jsonl -o calibration.json

    mllm-protector calibrate --data dev.jsonl --ordinary benign.jsonl --detector my-checkpoint --share 0.5
    --target-fpr 0.01 --plots plots -o my-checkpoint/calibration.json

Data are JSON lines with prompt, response and harmful (0 or 1), optionally image_text, source, categories;
files of ordinary answers need no harmful. Probabilities are frequencies on the mixture of these rows. Saved
beside a checkpoint the calibration is applied by itself; elsewhere a configuration names it (`calibration:`).

{EXIT_CODES}
"""


@app.command(help=_HELP)
def calibrate(
    data: Annotated[
        list[Path], typer.Option("--data", metavar="FILE", help="Labelled answers; may be repeated.")
    ],
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The calibration.")],
    ordinary: Annotated[
        Optional[list[Path]],  # noqa: UP045 (typer reads it at run time)
        typer.Option(
            "--ordinary",
            metavar="FILE",
            help="Ordinary answers: count false alarms here. (default: all harmless)",
        ),
    ] = None,
    leave_out: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--leave-out", metavar="SOURCE", help="Pass over its rows; may be repeated."),
    ] = None,
    detector: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--detector", metavar="NAME|FOLDER", help="(default: embedded)"),
    ] = None,
    config: options.ConfigFile = None,
    method: Annotated[str, typer.Option("--method", help="auto, temperature, platt or isotonic.")] = "auto",
    share: Annotated[
        float,
        typer.Option("--share", help="Of the prompts, fitted on; the rest measures. 1: all, cross-fitted."),
    ] = 1.0,
    target_fpr: Annotated[
        Optional[list[float]],  # noqa: UP045
        typer.Option("--target-fpr", help="Show the threshold for it; may be repeated. (default: 0.01)"),
    ] = None,
    plots: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--plots", metavar="DIR", help="Write reliability, ROC and PR diagrams as PNG."),
    ] = None,
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--cache", metavar="FILE", help="Keep scores here. (default: beside FILE, until it is done)"
        ),
    ] = None,
    threads: options.Threads = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, max=4096, help="Rows scored together.")
    ] = 32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no report.")] = False,
) -> None:
    """Score the rows, fit, measure, save and show."""
    targets = target_fpr or [0.01]
    _check(method, share, targets, detector, config, out, overwrite=overwrite)
    if plots is not None:
        from mllm_protector.evaluation.rendering.png import need_matplotlib

        need_matplotlib()
    from mllm_protector.assembly import bare_detector, fingerprint
    from mllm_protector.cli.scores import score
    from mllm_protector.data.files import write_whole
    from mllm_protector.evaluation.calibrate import calibrate as fit
    from mllm_protector.evaluation.labelled import read_labelled

    rows = read_labelled(data, ordinary or ())
    rows = _without(rows, leave_out or [])
    wanted = _wanted(detector, config)
    chosen = bare_detector(wanted, threads=threads)
    identity = fingerprint(wanted.detector, chosen)
    kept = cache or out.with_name(out.name + ".scores.jsonl")
    exchanges = [row.exchange for row in rows]
    detections = score(chosen, identity, exchanges, kept, batch_size, quiet=quiet)
    name = wanted.detector.name
    found = fit(rows, detections, detector=name, fingerprint=identity, method=method, share=share)
    write_whole(out, _json(found))
    if plots is not None:
        from mllm_protector.evaluation.rendering.png import write_plots

        write_plots(plots, found.before, found.after, found.labels)
    if cache is None:
        kept.unlink(missing_ok=True)
    if not quiet:
        from mllm_protector.cli.calibration_report import show

        show(found, targets)
        typer.echo(f"saved in {out}" + ("" if plots is None else f", plots in {plots}"), err=True)


def _check(
    method: str,
    share: float,
    targets: Sequence[float],
    detector: str | None,
    config: Path | None,
    out: Path,
    *,
    overwrite: bool,
) -> None:
    """Turn away what cannot work before anything is scored."""
    from mllm_protector.calibration import METHODS
    from mllm_protector.errors import OutputError

    if method not in ("auto", *METHODS):
        raise typer.BadParameter(f"--method {method!r}: write auto, {', '.join(METHODS)}")
    if not 0.0 < share <= 1.0:
        raise typer.BadParameter(f"--share {share:g}: write a number above 0, at most 1")
    if wrong := next((t for t in targets if not 0.0 < t < 1.0), None):
        raise typer.BadParameter(f"--target-fpr {wrong:g}: write a number between 0 and 1, such as 0.01")
    if detector is not None and config is not None:
        raise typer.BadParameter("give --detector or --config, not both")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists; give --overwrite to replace it, or another -o")


def _without(rows: list[LabelledRow], sources: Sequence[str]) -> list[LabelledRow]:
    """The rows of the other sources; a source that is not there is a mistake."""
    from mllm_protector.errors import InputError
    from mllm_protector.suggest import nearest

    known = {row.source for row in rows}
    if unknown := next((source for source in sources if source not in known), None):
        raise InputError(f"--leave-out {unknown}: no rows of that source{nearest(unknown, known)}")
    return [row for row in rows if row.source not in sources]


def _wanted(detector: str | None, config: Path | None) -> Config:
    """The configuration of the detector alone; a folder is a checkpoint of the kind that it says."""
    from mllm_protector.config import BackendConfig, Config, load_config
    from mllm_protector.networks.manifest import DETECTOR, JOINT, kind_of_folder

    if config is not None:
        return load_config(config)
    if detector is None:
        return Config()
    if not Path(detector).is_dir():
        return Config(detector=BackendConfig(name=detector))
    trained = {DETECTOR: "checkpoint", JOINT: "joint"}.get(kind_of_folder(detector) or "")
    if trained is None:
        return Config(detector=BackendConfig(name="embedded", options={"folder": detector}))
    return Config(detector=BackendConfig(name=trained, options={"path": detector}))


def _json(found: Calibrated) -> str:
    import json

    return json.dumps(found.file.to_dict(), allow_nan=False) + "\n"
