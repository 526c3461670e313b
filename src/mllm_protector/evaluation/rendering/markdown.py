"""The report as Markdown; texts of samples are left out of it."""

from __future__ import annotations

from collections.abc import Iterator

from mllm_protector.evaluation.rendering.tables import Table, defence_tables, overview, report_tables
from mllm_protector.evaluation.report import Report

__all__ = ["to_markdown"]


def to_markdown(report: Report) -> str:
    """Return the whole report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {_plain(report.settings['benchmark'])}: before and after"
    yield ""
    yield f"{report.evaluated} of {report.samples} samples evaluated ({_kinds(report)})."
    yield ""
    for warning in report.warnings:
        yield f"> **Note:** {_plain(warning)}."
        yield ">"
    if report.warnings:
        yield ""
    yield from _table(overview(report), 2)
    for table in report_tables(report):
        yield from _table(table, 2)
    for defence in report.defences:
        yield f"## {_plain(defence.name)}"
        yield ""
        for table in defence_tables(defence):
            yield from _table(table, 3)
    yield "## Settings"
    yield ""
    for key, value in {**report.settings, "package": report.version}.items():
        yield f"* {key}: {_plain(value)}"


def _table(table: Table, level: int) -> Iterator[str]:
    yield f"{'#' * level} {_plain(table.title)}"
    yield ""
    yield "| " + " | ".join(table.head) + " |"
    yield "|" + "---|" * len(table.head)
    for row in table.rows:
        yield "| " + " | ".join(_plain(cell) for cell in row) + " |"
    yield ""
    if table.note:
        yield table.note
        yield ""


def _kinds(report: Report) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in report.kinds.items()) or "none"


def _plain(text: str) -> str:
    """Names come from files: nothing in them may become markup or another line."""
    flat = " ".join(text.split())
    for sign in "\\`|*":
        flat = flat.replace(sign, f"\\{sign}")
    return flat.replace("<", "&lt;").replace(">", "&gt;").replace("](", "]\\(")
