"""Diagrams of a calibration as PNG files, with matplotlib (extra ``train``)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from mllm_protector.calibration import calibration_error, reliability
from mllm_protector.data.files import write_whole
from mllm_protector.errors import MissingExtraError
from mllm_protector.evaluation.metrics import auprc, auroc, pr_curve, roc_curve

__all__ = ["need_matplotlib", "write_plots"]

_BEFORE, _AFTER = "#b0552f", "#2f6db0"


def need_matplotlib() -> None:
    """Raise MissingExtraError if the plots cannot be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("--plots needs matplotlib; pip install 'mllm-protector[train]'") from error


def write_plots(folder: Path, before: ArrayLike, after: ArrayLike, labels: ArrayLike) -> None:
    """Write ``reliability.png``, ``roc.png`` and ``pr.png``.

    Args:
        folder: made if it is not there.
        before: [n] P(harmful) without calibration.
        after: [n] the same calibrated.
        labels: [n] True for harmful.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    need_matplotlib()
    write_whole(folder / "reliability.png", _reliability(before, after, labels))
    roc = roc_curve(after, labels)
    name = f"AUROC {auroc(after, labels):.3f}"
    write_whole(folder / "roc.png", _line(roc, "false alarms", "found", name))
    name = f"average precision {auprc(after, labels):.3f}"
    write_whole(folder / "pr.png", _line(pr_curve(after, labels), "found", "precision", name))


def _reliability(before: ArrayLike, after: ArrayLike, labels: ArrayLike) -> bytes:
    figure, axes = _square("predicted P(harmful)", "share that is harmful")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    for name, scores, colour in (("before", before, _BEFORE), ("after", after, _AFTER)):
        bins = reliability(scores, labels, equal_mass=True)
        label = f"{name}, ECE {calibration_error(scores, labels, 15):.3f}"
        axes.plot([b.predicted for b in bins], [b.observed for b in bins], "o-", color=colour, label=label)
    axes.legend(loc="upper left")
    return _encoded(figure)


def _line(points: list[tuple[float, float]], across: str, up: str, name: str) -> bytes:
    figure, axes = _square(across, up)
    axes.plot([x for x, _ in points], [y for _, y in points], color=_AFTER, label=name)
    axes.legend(loc="lower right" if across != "found" else "lower left")
    return _encoded(figure)


def _square(across: str, up: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # without pyplot there is no window system and no global state

    figure = Figure(figsize=(5, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=across, ylabel=up)
    return figure, axes


def _encoded(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
