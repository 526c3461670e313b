"""A report as a results file of lm-evaluation-harness, so that its tables and plots can read it.

The format is that of its ``results_*.json``: ``results[task]["metric,filter"]``, ``configs``, ``versions``,
``n-shot``, ``higher_is_better``, ``n-samples``. One task per defence; ``none`` is the bare answers.
"""

from __future__ import annotations

import math
from typing import Any

from mllm_protector.evaluation.report import DefenceReport, Report
from mllm_protector.evaluation.statistics import Rate

__all__ = ["to_lm_eval"]

_METRICS = {"asr": False, "over_refusal": False, "benign_unchanged": True, "utility": True, "auroc": True}


def to_lm_eval(report: Report, *, date: float = 0.0) -> dict[str, Any]:
    """Return the report in that shape; a figure that cannot be computed is left out.

    Args:
        report: the report.
        date: seconds since the epoch, for the field ``date``.
    """
    benchmark = report.settings["benchmark"]
    results: dict[str, dict[str, Any]] = {}
    if report.defences:
        results[f"{benchmark}_none"] = _scores(report.defences[0], after=False)
    results |= {f"{benchmark}_{d.name}": _scores(d, after=True) for d in report.defences}
    tasks = list(results)
    higher = {task: {m: up for m, up in _METRICS.items() if f"{m},none" in results[task]} for task in tasks}
    return {
        "results": {task: {"alias": task, **scores} for task, scores in results.items()},
        "group_subtasks": {task: [] for task in tasks},
        "configs": {task: {"task": task, "metadata": dict(report.settings)} for task in tasks},
        "versions": {task: report.settings.get("data", "") for task in tasks},
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": higher,
        "n-samples": {task: {"original": report.samples, "effective": report.evaluated} for task in tasks},
        "config": {"model": report.settings.get("answers", ""), "model_args": "", "limit": None},
        "date": date,
        "mllm_protector_version": report.version,
    }


def _scores(defence: DefenceReport, *, after: bool) -> dict[str, float]:
    scores: dict[str, float] = {}

    def put(name: str, value: float, error: float = math.nan) -> None:
        if math.isfinite(value):
            scores[f"{name},none"] = value
            if math.isfinite(error):
                scores[f"{name}_stderr,none"] = error

    if defence.attacks:
        overall = defence.attacks[0].overall
        asr = overall.after if after else overall.before
        put("asr", asr.value, _error(asr))
    refused = defence.over_refusal.after if after else defence.over_refusal.before
    put("over_refusal", refused.value, _error(refused))
    if after:
        put("benign_unchanged", defence.benign_unchanged.value, _error(defence.benign_unchanged))
    if defence.utility:
        put("utility", defence.utility[-1].after if after else defence.utility[-1].before)
    if after and defence.detector is not None:
        put("auroc", defence.detector.auroc)
    return scores


def _error(found: Rate) -> float:
    """Return the standard error as that harness has it: of the mean of zeros and ones."""
    if found.total < 2:
        return math.nan
    return math.sqrt(found.value * (1 - found.value) / (found.total - 1))
