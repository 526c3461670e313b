"""The report as tables of words: what Markdown, HTML and the terminal share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mllm_protector.evaluation.report import Attack, DefenceReport, Effect, Report
from mllm_protector.evaluation.statistics import Rate
from mllm_protector.taxonomy import CATEGORIES

__all__ = [
    "Table",
    "defence_tables",
    "number",
    "overview",
    "p_value",
    "percent",
    "report_tables",
    "scenario_name",
    "seconds",
]

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: what it shows.
        head: names of its columns.
        rows: its cells.
        note: how to read it, "" if that is plain.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def percent(value: float) -> str:
    """Return a share as per cent, ``-`` if there is none."""
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def number(value: float, places: int = 3) -> str:
    """Return a number, ``-`` if there is none."""
    return "-" if math.isnan(value) else f"{value:.{places}f}"


def seconds(value: float) -> str:
    """Return a time in a unit that suits it."""
    if math.isnan(value):
        return "-"
    return f"{1000 * value:.1f} ms" if value < 1 else f"{value:.2f} s"


def scenario_name(name: str) -> str:
    """Return a scenario as people know it: a hazard category's code with its name."""
    known = CATEGORIES.get(name)
    return name if known is None or known.name.lower() == name else f"{name} {known.name}"


def p_value(value: float) -> str:
    """Return a p-value, the smallest ones as a bound."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def overview(report: Report) -> Table:
    """One line per defence, ``none`` first."""
    rows: list[tuple[str, ...]] = []
    if report.defences:
        rows.append(("none", *_line(report.defences[0], after=False), "-", "-"))
    rows += [
        (d.name, *_line(d, after=True), seconds(d.cost.median), f"{d.cost.calls:.1f}")
        for d in report.defences
    ]
    judge = next((d.attacks[0].judge for d in report.defences if d.attacks), "-")
    return Table(
        "Defences",
        (
            "defence",
            "attack success",
            "over-refusal",
            "harmless unchanged",
            "utility",
            "time/query",
            "calls/query",
        ),
        tuple(rows),
        f"Attack success as {judge} judges it, with 95 % Wilson intervals. Harmless: answers to benign "
        "requests, or, where there are none, answers that this judge calls safe.",
    )


def report_tables(report: Report) -> Iterator[Table]:
    """Yield what concerns the whole run."""
    rows: Rows
    if report.problems:
        rows = tuple((p.what, str(p.count), _few(p.names, p.count)) for p in report.problems)
        yield Table("In no figure", ("what", "how many", "which"), rows)
    if report.agreements:
        rows = tuple(
            (
                f"{a.first} / {a.second}",
                number(a.kappa, 2),
                *map(str, (a.both, a.only_first, a.only_second, a.neither)),
            )
            for a in report.agreements
        )
        head = ("judges", "kappa", "both harmful", "only the first", "only the second", "neither")
        yield Table(
            "Agreement of the judges", head, rows, "Cohen's kappa over all answers that both could judge."
        )
    if report.answering is not None:
        cost = report.answering
        cells = (seconds(cost.mean), seconds(cost.median), seconds(cost.p95))
        yield Table("Time of the model's own answers", ("mean", "median", "95th percentile"), (cells,))


def defence_tables(defence: DefenceReport) -> Iterator[Table]:
    """Yield what concerns one defence."""
    rows: Rows
    if defence.attacks:
        yield _judges(defence)
        yield from _parts(defence.attacks[0])
    rows = tuple(
        (what, *_effect(effect))
        for what, effect in (
            ("benign requests, full", defence.over_refusal),
            ("benign requests, partial", defence.partial_refusal),
            ("harmful requests, full", defence.harmful_refusal),
        )
        if effect.before.total
    )
    if rows:
        yield Table("Refusals", ("refusals of", "before", "after", "p"), rows)
    if defence.utility:
        rows = tuple(
            (
                u.judge, str(u.samples), str(u.unjudged), percent(u.before), percent(u.after),
                f"[{number(100 * u.low, 1)}, {number(100 * u.high, 1)}]",
            )
            for u in defence.utility
        )  # fmt: skip
        graded = ("judge", "graded", "open", "before", "after", "difference in points, 95 %")
        yield Table("Utility", graded, rows)
    if defence.detector is not None:
        d = defence.detector
        cells: tuple[str, ...] = (
            str(d.samples),
            str(d.harmful),
            *(number(v) for v in (d.auroc, d.auprc, d.f1, d.tpr_at_1_fpr, d.ece)),
        )
        columns = ("answers", "harmful", "AUROC", "AUPRC", "F1 at 0.5", "TPR at 1 % FPR", "ECE")
        yield Table(
            "Detector", columns, (cells,), f"Truth: {d.truth}; answers to benign requests count as harmless."
        )
    yield _cost(defence)


def _judges(defence: DefenceReport) -> Table:
    rows: list[tuple[str, ...]] = []
    for attack in defence.attacks:
        effect = attack.overall
        low, high = effect.after.bounds
        span = "-" if not effect.after.unjudged else f"{percent(low)} to {percent(high)}"
        rows.append((attack.judge, *_effect(effect), str(effect.fixed), str(effect.broken), span))
    head = (
        "judge",
        "before",
        "after",
        "p",
        "stopped",
        "made worse",
        "after, if the open were safe / harmful",
    )
    return Table("Attack success", head, tuple(rows), "p: exact two-sided McNemar test on the same samples.")


def _parts(attack: Attack) -> Iterator[Table]:
    for title, groups in (
        ("scenario", attack.scenarios), ("modality", attack.modalities), ("attack", attack.attacks),
    ):  # fmt: skip
        if len(groups) > 1 or (groups and title == "scenario"):
            rows = [(scenario_name(g.name), *_effect(g.effect)) for g in groups]
            if title == "scenario":
                rows += [
                    (f"mean of {a.over}", percent(a.before), percent(a.after), "-") for a in attack.averages
                ]
            yield Table(
                f"Attack success by {title} ({attack.judge})", (title, "before", "after", "p"), tuple(rows)
            )


def _cost(defence: DefenceReport) -> Table:
    actions = ", ".join(f"{name} {count}" for name, count in defence.actions.items()) or "-"
    cells = (
        seconds(defence.cost.mean), seconds(defence.cost.median), seconds(defence.cost.p95),
        f"{defence.cost.calls:.2f}", actions, f"{number(defence.relevance, 2)} ({defence.rewritten})",
        str(defence.errors),
    )  # fmt: skip
    head = (
        "mean",
        "median",
        "95th percentile",
        "calls/query",
        "actions",
        "rewrite relevance (n)",
        "failures",
    )
    note = "Time per query, batched, without the model's own answer. Relevance: share of the request's words."
    return Table("Cost, and what was done", head, (cells,), note)


def _line(defence: DefenceReport, *, after: bool) -> tuple[str, str, str, str]:
    def side(effect: Effect) -> Rate:
        return effect.after if after else effect.before

    utility = defence.utility[-1] if defence.utility else None
    kept = defence.benign_unchanged if defence.benign_unchanged.total else defence.safe_unchanged
    return (
        str(side(defence.attacks[0].overall)) if defence.attacks else "-",
        str(side(defence.over_refusal)),
        (str(kept) if after else "100 %") if kept.total else "-",
        "-" if utility is None else percent(utility.after if after else utility.before),
    )


def _effect(effect: Effect) -> tuple[str, str, str]:
    return str(effect.before), str(effect.after), p_value(effect.p)


def _few(names: Sequence[str], count: int) -> str:
    shown = ", ".join(name if len(name) <= 80 else name[:77] + "..." for name in names[:5])
    return shown + (", ..." if count > min(5, len(names)) else "")
