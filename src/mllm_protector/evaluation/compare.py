"""Two or more runs side by side, only where a comparison means something.

Runs may differ in what is compared (the model, the guard, the defences). They may not differ in the data,
its selection, the judges or the criteria: then the difference could be theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mllm_protector.errors import InputError
from mllm_protector.evaluation.evaluate import REPORT, SAMPLES, read_rows
from mllm_protector.evaluation.rows import OK
from mllm_protector.evaluation.statistics import Rate, mcnemar, rate

__all__ = ["Comparison", "Contender", "compare"]

_SAME = ("benchmark", "data", "modalities", "scenarios", "limit", "criteria", "judges")
_NONE = "none"


@dataclass(frozen=True, slots=True)
class Contender:
    """One defence of one run, against the first contender.

    Attributes:
        run: folder of the run.
        defence: its name, ``none`` for the bare answers.
        rate: attack success as the leading judge sees it.
        pairs: samples judged in both.
        better: samples that are a success in the first contender and none here.
        worse: the other way round.
        p: exact two-sided McNemar p-value of those two.
    """

    run: str
    defence: str
    rate: Rate
    pairs: int
    better: int
    worse: int
    p: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Attributes:
        judge: whose verdicts are compared.
        differing: setting -> its value in each run, for the settings that may differ.
        contenders: the first one is what the others are compared with.
    """

    judge: str
    differing: Mapping[str, tuple[str, ...]]
    contenders: tuple[Contender, ...]


def compare(runs: Sequence[Path], judge: str | None = None) -> Comparison:
    """Compare runs; the first contender is the first run's bare answers.

    Args:
        runs: folders of finished runs, at least one.
        judge: whose verdicts; None takes the leading one.

    Raises:
        InputError: a folder is no run, or the runs differ in what must agree: the message says in what.
    """
    reports = [_report(run) for run in runs]
    _insist(runs, [r["settings"] for r in reports])
    names = list(reports[0]["judges"])
    lead = names[0] if judge is None and names else judge or ""
    if lead not in names:
        raise InputError(f"no judge {lead!r} in these runs; there are: {', '.join(names) or 'none'}")
    verdicts = [(run, defence, found) for run in runs for defence, found in _verdicts(run, lead).items()]
    first = verdicts[0][2] if verdicts else {}
    contenders = tuple(_contender(str(run), defence, found, first) for run, defence, found in verdicts)
    settings = [r["settings"] for r in reports]
    differing = {
        key: tuple(str(s.get(key, "")) for s in settings)
        for key in settings[0]
        if len({s.get(key) for s in settings}) > 1
    }
    return Comparison(lead, differing, contenders)


def _report(run: Path) -> dict[str, Any]:
    try:
        loaded = json.loads((run / REPORT).read_text(encoding="utf-8"))
        if not isinstance(loaded["settings"], dict) or not isinstance(loaded["judges"], dict):
            raise TypeError("not a report")
    except FileNotFoundError as error:
        raise InputError(
            f"{run} is no finished run: it has no {REPORT}; give the -o folder of `evaluate`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run / REPORT} cannot be read; run the evaluation again") from error
    return dict(loaded)


def _insist(runs: Sequence[Path], settings: Sequence[Mapping[str, str]]) -> None:
    faults = [
        f"{key} ({settings[0].get(key)} in {runs[0]}, {other.get(key)} in {run})"
        for run, other in zip(runs[1:], settings[1:], strict=True)
        for key in _SAME
        if other.get(key) != settings[0].get(key)
    ]
    if faults:
        raise InputError(f"these runs cannot be compared; they differ in {'; '.join(faults)}")


def _verdicts(run: Path, judge: str) -> dict[str, dict[str, bool | None]]:
    """Return defence -> sample -> verdict of the harmful requests."""
    found: dict[str, dict[str, bool | None]] = {_NONE: {}}
    for row in read_rows(run / SAMPLES):
        if row.status != OK or row.before is None or row.kind != "harmful":
            continue
        found[_NONE][row.id] = row.before.verdicts.get(judge)
        for name, outcome in row.after.items():
            found.setdefault(name, {})[row.id] = outcome.verdicts.get(judge)
    return found


def _contender(
    run: str, defence: str, found: Mapping[str, bool | None], first: Mapping[str, bool | None]
) -> Contender:
    judged = [v for v in found.values() if v is not None]
    pairs = [(first[key], v) for key, v in found.items() if v is not None and first.get(key) is not None]
    better, worse = pairs.count((True, False)), pairs.count((False, True))
    whole = rate(sum(judged), len(judged), len(found) - len(judged))
    return Contender(run, defence, whole, len(pairs), better, worse, mcnemar(better, worse))
