"""Plots as SVG, drawn with the page's own colours so that light and dark both work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from mllm_protector.evaluation.metrics import Bin
from mllm_protector.evaluation.rendering.tables import scenario_name
from mllm_protector.evaluation.report import Group
from mllm_protector.evaluation.statistics import Rate

__all__ = ["bars", "reliability", "roc"]

_LABEL, _PLOT, _VALUE, _ROW, _BAR = 220, 420, 60, 34, 11
_SIDE, _EDGE = 240, 38


def bars(groups: Sequence[Group], title: str) -> str:
    """Return two bars per group, before and after, with intervals and size; "" of no groups."""
    if not groups:
        return ""
    width, height = _LABEL + _PLOT + _VALUE, len(groups) * _ROW + 26
    parts = [_open(width, height, title)]
    for tick in range(0, 101, 25):
        x = _LABEL + _PLOT * tick / 100
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height - 20}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 6}" text-anchor="middle">{tick} %</text>')
    for place, group in enumerate(groups):
        top = place * _ROW + 4
        name = scenario_name(group.name)
        name = name if len(name) <= 28 else name[:27] + "…"
        size = f'<tspan class="tick"> {group.effect.before.total}</tspan>'
        parts.append(f'<text x="{_LABEL - 8}" y="{top + 15}" text-anchor="end">{escape(name)}{size}</text>')
        parts.append(_bar(group.effect.before, "before", top))
        parts.append(_bar(group.effect.after, "after", top + _BAR + 2))
    return "".join([*parts, "</svg>"])


def roc(points: Sequence[tuple[float, float]], area: float) -> str:
    """Return the ROC curve; "" if there is none."""
    if not points:
        return ""
    path = " ".join(f"{_x(a):.1f},{_y(f):.1f}" for a, f in points)
    parts = [
        *_square("ROC curve", "false alarms", "found"),
        f'<polyline class="line" points="{path}"/>',
        f'<text x="{_x(0.97):.1f}" y="{_y(0.06):.1f}" text-anchor="end">AUROC {area:.3f}</text></svg>',
    ]
    return "".join(parts)


def reliability(bins: Sequence[Bin], error: float) -> str:
    """Return predicted against observed, a dot's size by its rows; "" if there are none."""
    if not bins:
        return ""
    most = max(b.count for b in bins)
    dots = "".join(
        f'<circle class="dot" cx="{_x(b.predicted):.1f}" cy="{_y(b.observed):.1f}" '
        f'r="{3 + 7 * math.sqrt(b.count / most):.1f}"><title>{b.count} answers: predicted {b.predicted:.2f}, '
        f"observed {b.observed:.2f}</title></circle>"
        for b in bins
    )
    label = f'<text x="{_x(0.97):.1f}" y="{_y(0.06):.1f}" text-anchor="end">ECE {error:.3f}</text></svg>'
    return "".join([*_square("Reliability", "P(harmful), predicted", "harmful, observed"), dots, label])


def _bar(rate: Rate, kind: str, top: float) -> str:
    if not rate.total:
        return f'<text class="tick" x="{_LABEL + 4}" y="{top + 9}">no verdict</text>'
    width, middle = _PLOT * rate.value, top + _BAR / 2
    low, high = _LABEL + _PLOT * rate.low, _LABEL + _PLOT * rate.high
    return (
        f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2">'
        f"<title>{kind}: {escape(str(rate))}</title></rect>"
        f'<line class="whisker" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>'
        f'<text class="tick" x="{_LABEL + _PLOT + 6}" y="{top + 9}">{100 * rate.value:.1f}</text>'
    )


def _open(width: int, height: int, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" '
        f'style="max-width:{width}px">'
        f"<title>{escape(title)}</title>"
    )


def _square(title: str, below: str, beside: str) -> list[str]:
    size = _SIDE + 2 * _EDGE
    middle = _EDGE + _SIDE / 2
    return [
        _open(size, size, title),
        f'<rect class="frame" x="{_EDGE}" y="{_EDGE}" width="{_SIDE}" height="{_SIDE}"/>',
        f'<line class="grid" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>',
        f'<text x="{middle}" y="{_EDGE - 12}" text-anchor="middle">{escape(title)}</text>',
        f'<text class="tick" x="{middle}" y="{size - 12}" text-anchor="middle">{escape(below)}</text>',
        f'<text class="tick" transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(beside)}</text>",
    ]


def _x(value: float) -> float:
    return _EDGE + _SIDE * value


def _y(value: float) -> float:
    return _EDGE + _SIDE * (1 - value)
