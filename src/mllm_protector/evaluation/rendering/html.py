"""The report as one HTML page: styles and plots inside it, no script, nothing loaded from elsewhere.

Harmful text is folded away: a reader has to open it. Whatever comes from files or models is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from mllm_protector.evaluation.rendering import svg
from mllm_protector.evaluation.rendering.page import page
from mllm_protector.evaluation.rendering.tables import (
    Table,
    defence_tables,
    number,
    overview,
    percent,
    report_tables,
    scenario_name,
    seconds,
)
from mllm_protector.evaluation.report import DefenceReport, Example, Report

__all__ = ["to_html"]

_WHAT = {
    "stopped": "harmful before, not after",
    "missed": "harmful before and after",
    "made worse": "not harmful before, harmful after",
    "changed without need": "changed, though it was not harmful",
}
_LONGEST = 4000


def to_html(report: Report) -> str:
    """Return the page."""
    title = f"{escape(report.settings['benchmark'])}: before and after"
    return page(title, _body(report, title))


def _body(report: Report, title: str) -> Iterator[str]:
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.kinds.items()) or "none"
    yield f"<h1>{title}</h1>"
    yield (
        f'<p class="sub">{report.evaluated} of {report.samples} samples evaluated ({kinds}); '
        f"answers: {escape(report.settings['answers'])}</p>"
    )
    if report.defences:
        yield _cards(report.defences[0])
    for warning in report.warnings:
        yield f'<p class="warn">{escape(warning)}</p>'
    yield _table(overview(report))
    for table in report_tables(report):
        yield _table(table)
    for defence in report.defences:
        yield from _defence(defence)
    yield "<h2>Settings</h2>"
    settings = {**report.settings, "package": report.version}
    rows = tuple((key, value) for key, value in settings.items())
    yield _table(
        Table("", ("what", "value"), rows, "Runs are compared only where data, judges and criteria agree.")
    )


def _cards(defence: DefenceReport) -> str:
    cards = []
    if defence.attacks:
        effect = defence.attacks[0].overall
        cards.append((f"{percent(effect.before.value)} → {percent(effect.after.value)}", "attack success"))
    if defence.over_refusal.before.total:
        over = defence.over_refusal
        cards.append((f"{percent(over.before.value)} → {percent(over.after.value)}", "over-refusal"))
    if defence.benign_unchanged.total:
        cards.append((percent(defence.benign_unchanged.value), "benign answers unchanged"))
    elif defence.safe_unchanged.total:
        cards.append((percent(defence.safe_unchanged.value), "safe answers unchanged"))
    if defence.utility:
        utility = defence.utility[-1]
        cards.append((f"{percent(utility.before)} → {percent(utility.after)}", "utility"))
    if defence.detector is not None:
        cards.append((number(defence.detector.auroc), "AUROC of the detector"))
    cards.append((seconds(defence.cost.median), "median time per query"))
    inner = "".join(f'<div class="card"><b>{a}</b><span>{escape(b)}</span></div>' for a, b in cards)
    return f'<p class="note">{escape(defence.name)}</p><div class="cards">{inner}</div>'


def _defence(defence: DefenceReport) -> Iterator[str]:
    yield f"<h2>{escape(defence.name)}</h2>"
    yield f'<p class="note">{escape(defence.identity)}</p>'
    if defence.attacks:
        attack = defence.attacks[0]
        groups = attack.scenarios or attack.modalities
        yield (
            f'<p class="key note">Attack success as {escape(attack.judge)} judges it, 95 % intervals'
            '<i class="before" style="background:var(--before)"></i>before'
            '<i class="after" style="background:var(--after)"></i>after</p>'
        )
        yield svg.bars(groups, "Attack success before and after, by scenario")
    if defence.detector is not None:
        d = defence.detector
        plots = svg.roc(d.roc, d.auroc), svg.reliability(d.bins, d.ece)
        if any(plots):
            yield f'<div class="pair"><div>{plots[0]}</div><div>{plots[1]}</div></div>'
    for table in defence_tables(defence):
        yield _table(table)
    if defence.examples:
        yield "<h3>Examples</h3>"
        yield '<p class="note">Texts of the benchmark and of the model, some of them harmful.</p>'
        for example in defence.examples:
            yield _example(example)


def _example(example: Example) -> str:
    harm = "" if example.harm is None else f", P(harmful) {example.harm:.2f}"
    what, scenario = _WHAT.get(example.what, example.what), scenario_name(example.scenario)
    summary = f"{what}: {scenario} · {example.id} ({example.action}{harm})"
    return (
        f"<details><summary>{escape(summary)}</summary><p "
        f"class='note'>asked</p><pre>{_text(example.prompt)}</pre><p class='note'>the model's "
        f"answer</p><pre class='b'>{_text(example.before)}</pre><p class='note'>delivered</p><pre "
        f"class='a'>{_text(example.after)}</pre></details>"
    )


def _text(text: str) -> str:
    return escape(text if len(text) <= _LONGEST else text[:_LONGEST] + " […]")


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in table.rows)
    title = f"<h3>{escape(table.title)}</h3>" if table.title else ""
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f'{title}<div class="wide"><table><tr>{head}</tr>{rows}</table></div>{note}'
