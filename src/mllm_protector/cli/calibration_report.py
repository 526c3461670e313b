"""What ``calibrate`` shows on the terminal: quality per head, thresholds, reliability and ROC."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mllm_protector.calibration import HARM, Bin, Quality, clopper_pearson, reliability
from mllm_protector.evaluation.calibrate import Calibrated
from mllm_protector.evaluation.metrics import auprc, auroc, f1, roc_curve

__all__ = ["show"]

_BAR = 30
_WIDTH, _HEIGHT = 48, 12
_WIDTH_IN_FILES = 140


def show(found: Calibrated, targets: Sequence[float]) -> None:
    """Print the report to standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_IN_FILES)
    heads = found.file.heads
    console.print(_quality(found), markup=False)
    if plain := [name for name, head in heads.items() if head.calibrator is None]:
        console.print(f"no calibrator, too few labels: {', '.join(plain)}")
    _thresholds(found, targets)
    _at_half(found)
    typer.echo("\nreliability after: predicted (|) against observed (bar)")
    for part in reliability(found.after, found.labels):
        typer.echo(f"  {_reliability_line(part)}")
    area = auroc(found.after, found.labels)
    typer.echo(f"\nROC, AUROC {area:.3f} (average precision {auprc(found.after, found.labels):.3f})")
    for line in curve(roc_curve(found.after, found.labels)):
        typer.echo(f"  {line}")


def _quality(found: Calibrated) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("head", "method", "rows", "positive", "ECE", "ECE, equal mass", "Brier", "log loss"):
        table.add_column(name, no_wrap=True)
    for name, head in found.file.heads.items():
        if head.calibrator is None or head.before is None or head.after is None:
            continue
        pairs = [_pair(head.before, head.after, field) for field in Quality.__slots__]
        table.add_row(name, head.calibrator.method, str(head.rows), str(head.positives), *pairs)
    return table


def _pair(before: Quality, after: Quality, field: str) -> str:
    return f"{getattr(before, field):.3f} > {getattr(after, field):.3f}"


def _thresholds(found: Calibrated, targets: Sequence[float]) -> None:
    points = found.file.heads[HARM].points
    for target in targets:
        if points is None:
            typer.echo(f"target_fpr {target:g}: no harmless rows to count false alarms on")
            continue
        try:
            point = points.resolve(target)
        except ValueError as error:
            typer.echo(f"target_fpr {target:g}: {error}")
            continue
        flagged = found.after >= point.threshold
        recall = flagged[found.labels].mean()
        typer.echo(
            f"target_fpr {target:g}: {point} with 95 % confidence; finds {recall:.1%} of the harmful rows"
        )


def _at_half(found: Calibrated) -> None:
    """What a caller gets who compares P(harmful) with one half."""
    for name, scores in (("before", found.before), ("after", found.after)):
        alarms, total = int((scores[found.ordinary] >= 0.5).sum()), int(found.ordinary.sum())
        upper = f", at most {clopper_pearson(alarms, total):.2%}" if total else ""
        typer.echo(
            f"at 0.5 {name:6}: F1 {f1(scores, found.labels):.3f}, {alarms} of {total:,} false alarms{upper}"
        )


def _reliability_line(part: Bin) -> str:
    cells = ["█" if i < round(part.observed * _BAR) else " " for i in range(_BAR + 1)]
    cells[round(part.predicted * _BAR)] = "|"
    return f"{''.join(cells)} predicted {part.predicted:.2f}  observed {part.observed:.2f}  rows {part.count}"


def curve(points: Sequence[tuple[float, float]]) -> list[str]:
    """Draw a curve from (0, 0) to (1, 1) in characters, the highest line first; no lines of no points."""
    if not points:
        return []
    reached = [column / (_WIDTH - 1) + 1e-9 for column in range(_WIDTH)]
    heights = [max(up for across, up in points if across <= x) for x in reached]
    lines = []
    for row in range(_HEIGHT, 0, -1):
        cells = "".join("█" if h * _HEIGHT >= row - 0.5 else " " for h in heights)
        lines.append(f"{row / _HEIGHT:4.2f} |{cells}")
    return [*lines, f"     +{'-' * _WIDTH}", f"     0{'false alarms':^{_WIDTH - 2}}1"]
