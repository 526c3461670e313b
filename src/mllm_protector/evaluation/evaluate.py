"""The whole of an evaluation: prepare, run, report; what ``mllm-protector evaluate`` calls.

OUT/samples.jsonl   every sample with its texts and verdicts (harmful text included)
OUT/report.json     the figures
OUT/report.md       the same to read in a repository
OUT/report.html     the same to read in a browser, one file with nothing loaded from elsewhere
OUT/settings.json   what the figures depend on
OUT/answers.sqlite  what models answered, so that nothing is asked twice
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from mllm_protector import __version__
from mllm_protector.data.files import write_whole
from mllm_protector.data.jsonl import parse_object, read_lines
from mllm_protector.data.sinks import FileSink
from mllm_protector.errors import OutputError
from mllm_protector.evaluation.plan import Plan, Prepared, prepare
from mllm_protector.evaluation.rendering import to_html, to_markdown
from mllm_protector.evaluation.report import Report, to_json_values
from mllm_protector.evaluation.rows import Row, from_dict
from mllm_protector.evaluation.run import Watcher, run
from mllm_protector.evaluation.tally import Tally

__all__ = ["REPORT", "SAMPLES", "evaluate", "read_rows"]

SAMPLES, REPORT, MARKDOWN, HTML = "samples.jsonl", "report.json", "report.md", "report.html"
SETTINGS = "settings.json"
_OPEN = 0.05


def evaluate(
    plan: Plan, out: Path, *, overwrite: bool = False, restart: bool = False, watcher: Watcher | None = None
) -> Report:
    """Evaluate into the folder ``out`` and return the report; an interrupted run goes on.

    Args:
        plan: what to evaluate.
        out: folder of the results, made if it is not there.
        overwrite: replace the results of a finished run; what models answered is kept.
        restart: drop an interrupted run.
        watcher: hears how it goes.

    Raises:
        InputError, ConfigError, PolicyError, MissingExtraError, CheckpointError: it cannot begin.
        BackendError: a model or judge fails on everything; run the same again to go on.
        OutputError: the results cannot be written, or ``out`` holds those of another run.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {out} cannot be made: {error.strerror}; give another -o") from error
    with ExitStack() as stack:
        prepared = prepare(plan, out, stack)
        if _only_the_report_is_missing(out, prepared):
            _look_up_answers(prepared)
        else:
            sink = FileSink(out / SAMPLES, prepared.settings, overwrite=overwrite, restart=restart)
            if overwrite or not (out / SAMPLES).exists():
                for name in (REPORT, MARKDOWN, HTML):
                    (out / name).unlink(missing_ok=True)
                write_whole(out / SETTINGS, json.dumps(prepared.settings, indent=1) + "\n")
            run(prepared.job, sink, watcher)
        report = _report(prepared, out / SAMPLES)
    write_whole(out / REPORT, json.dumps(to_json_values(report), ensure_ascii=False, indent=1) + "\n")
    write_whole(out / MARKDOWN, to_markdown(report))
    write_whole(out / HTML, to_html(report))
    return report


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a finished run, one at a time.

    Raises:
        OutputError: the file is missing or damaged.
    """
    try:
        with path.open("rb") as stream:
            for line in read_lines(stream):
                yield from_dict(parse_object(line))
    except FileNotFoundError as error:
        raise OutputError(f"{path} is not there; is it the folder of a finished run?") from error
    except (OSError, TypeError, KeyError) as error:
        raise OutputError(f"{path} cannot be read ({error}); run the evaluation again") from error


def _only_the_report_is_missing(out: Path, prepared: Prepared) -> bool:
    """True if a run of these settings ended between its last sample and its report."""
    if not (out / SAMPLES).exists() or (out / REPORT).exists():
        return False
    try:
        return bool(json.loads((out / SETTINGS).read_text(encoding="utf-8")) == dict(prepared.settings))
    except (OSError, ValueError):
        return False


def _look_up_answers(prepared: Prepared) -> None:
    """Let recorded answers know which of them were used."""
    if not prepared.job.answers.live:
        for sample in prepared.job.samples():
            prepared.job.answers.answer([sample])


def _report(prepared: Prepared, rows: Path) -> Report:
    job = prepared.job
    tally = Tally(job.panel.names, {d.name: d.identity for d in job.defences})
    for row in read_rows(rows):
        tally.add(row)
    notes = dict(job.answers.notes())
    if prepared.absent:
        notes["files of the benchmark that are not there"] = list(prepared.absent)
    report = tally.report(
        version=__version__,
        settings=prepared.settings,
        warnings=prepared.warnings,
        notes=notes,
        live=job.answers.live,
    )
    return _with_doubts(report, prepared.warnings)


def _with_doubts(report: Report, warnings: Sequence[str]) -> Report:
    """Say up front what is in no figure."""
    doubts = list(warnings)
    if report.evaluated < report.samples:
        doubts.insert(0, f"{report.samples - report.evaluated} of {report.samples} samples are in no figure")
    doubts += [
        f"the verdict of {name} is open on {count} answers; they are in none of its rates"
        for name, count in report.judges.items()
        if count > _OPEN * max(report.kinds.get("harmful", 0), 1)
    ]
    return replace(report, warnings=tuple(doubts))
