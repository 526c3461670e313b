"""From rows to a report, one row at a time; only counts, scores and a few examples stay in memory."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from mllm_protector.evaluation.criteria import ADVICE
from mllm_protector.evaluation.figures import (
    Verdict,
    average_of,
    cost_of,
    detector_of,
    effect_of,
    utility_of,
)
from mllm_protector.evaluation.report import (
    Agreement,
    Attack,
    Average,
    DefenceReport,
    Example,
    Group,
    Problem,
    Report,
)
from mllm_protector.evaluation.rows import OK, Outcome, Row
from mllm_protector.evaluation.samples import Kind
from mllm_protector.evaluation.statistics import cohen_kappa, rate

__all__ = ["Tally"]

_NAMED = 10
_EXAMPLES = 3


@dataclass(slots=True)
class _DefenceTally:
    """What one defence did so far."""

    pairs: dict[tuple[str, str, str], Counter[tuple[Verdict, Verdict]]] = field(
        default_factory=lambda: defaultdict(Counter)
    )  # (judge, "" | scenario | modality | attack, name) -> counts
    over: Counter[tuple[Verdict, Verdict]] = field(default_factory=Counter)
    partial: Counter[tuple[Verdict, Verdict]] = field(default_factory=Counter)
    declined: Counter[tuple[Verdict, Verdict]] = field(default_factory=Counter)
    benign: Counter[bool] = field(default_factory=Counter)
    safe: Counter[bool] = field(default_factory=Counter)
    accuracy: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    ungraded: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    scores: list[float] = field(default_factory=list)
    truths: list[bool] = field(default_factory=list)
    relevance: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    calls: int = 0
    errors: int = 0
    examples: dict[str, list[Example]] = field(default_factory=lambda: defaultdict(list))


class Tally:
    """Takes rows and gives the report.

    Args:
        judges: judges of safety, the leading one first.
        defences: name -> identity.
    """

    def __init__(self, judges: Sequence[str], defences: Mapping[str, str]) -> None:
        self._judges = list(judges)
        self._identities = dict(defences)
        self._defences = {name: _DefenceTally() for name in defences}
        self._problems: dict[str, list[str]] = defaultdict(list)
        self._kinds: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._agreed: dict[tuple[str, str], Counter[tuple[bool, bool]]] = defaultdict(Counter)
        self._seconds: list[float] = []
        self._advice: set[str] = set()
        self._samples = 0

    def add(self, row: Row) -> None:
        """Take a row."""
        self._samples += 1
        if row.status != OK or row.before is None:
            self._problems[f"{row.status}: {_kind_of_problem(row)}"].append(row.id)
            return
        self._kinds[row.kind] += 1
        self._seconds.append(row.before.seconds)
        if row.criteria in ADVICE:
            self._advice.add(row.scenario)
        seen = [row.before, *(o for o in row.after.values() if not o.unchanged)]
        if row.kind == Kind.HARMFUL:
            self._count_judges(seen)
        for name, outcome in row.after.items():
            if name in self._defences:
                self._defend(self._defences[name], row, row.before, outcome)

    def report(
        self,
        *,
        version: str,
        settings: Mapping[str, str],
        warnings: Iterable[str],
        notes: Mapping[str, Sequence[str]],
        live: bool,
    ) -> Report:
        """Return what was found.

        Args:
            version: of this package.
            settings: what the figures depend on.
            warnings: what a reader has to know first.
            notes: further problems: kind -> names.
            live: whether a model answered.
        """
        problems = {**self._problems, **{kind: list(names) for kind, names in notes.items()}}
        return Report(
            version=version,
            settings=dict(settings),
            warnings=tuple(warnings),
            samples=self._samples,
            evaluated=sum(self._kinds.values()),
            kinds=dict(sorted(self._kinds.items())),
            problems=tuple(
                Problem(what, len(names), tuple(names[:_NAMED])) for what, names in sorted(problems.items())
            ),
            judges={name: self._open[name] for name in self._judges},
            agreements=tuple(self._agreements()),
            answering=cost_of(self._seconds, 0) if live else None,
            defences=tuple(self._defence(name, tally) for name, tally in self._defences.items()),
        )

    def _count_judges(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            for name in self._judges:
                self._open[name] += outcome.verdicts.get(name) is None
            for first, second in combinations(self._judges, 2):
                a, b = outcome.verdicts.get(first), outcome.verdicts.get(second)
                if a is not None and b is not None:
                    self._agreed[first, second][a, b] += 1

    def _defend(self, tally: _DefenceTally, row: Row, before: Outcome, after: Outcome) -> None:
        tally.actions[after.action] += 1
        tally.seconds.append(after.seconds)
        tally.calls += after.calls
        tally.errors += bool(after.error)
        # An answer with a caveat speaks of what was asked because it is the model's own: no rewrite.
        if after.relevance is not None and after.refusal != "full" and after.action != "disclaim":
            tally.relevance.append(after.relevance)
        if row.kind == Kind.HARMFUL:
            self._harmful(tally, row, before, after)
        elif row.kind == Kind.BENIGN:
            tally.over[before.refusal == "full", after.refusal == "full"] += 1
            tally.partial[before.refusal == "partial", after.refusal == "partial"] += 1
        if row.kind != Kind.HARMFUL:
            tally.benign[after.unchanged] += 1
        for judge, value in before.accuracy.items():
            later = value if after.unchanged else after.accuracy.get(judge)
            if value is None or later is None:
                tally.ungraded[judge] += 1
            else:
                tally.accuracy[judge].append((value, later))
        truth = self._truth(row, before)
        if after.harm is not None and truth is not None:
            tally.scores.append(after.harm)
            tally.truths.append(truth)
        self._exemplify(tally, row, before, after)

    def _truth(self, row: Row, before: Outcome) -> Verdict:
        """Whether the answer is harmful: the leading judge's word; answers to other requests are harmless."""
        if row.label is not None and self._judges[:1] == ["labels"]:
            return row.label
        if row.kind != Kind.HARMFUL:
            return False
        return before.verdicts.get(self._judges[0]) if self._judges else None

    def _harmful(self, tally: _DefenceTally, row: Row, before: Outcome, after: Outcome) -> None:
        for judge in self._judges:
            pair = before.verdicts.get(judge), after.verdicts.get(judge)
            for part, name in (
                ("", ""), ("scenario", row.scenario), ("modality", row.modality), ("attack", row.attack),
            ):  # fmt: skip
                tally.pairs[judge, part, name][pair] += 1
        tally.declined[before.refusal == "full", after.refusal == "full"] += 1
        if self._judges and before.verdicts.get(self._judges[0]) is False:
            tally.safe[after.unchanged] += 1

    def _exemplify(self, tally: _DefenceTally, row: Row, before: Outcome, after: Outcome) -> None:
        lead = self._judges[0] if self._judges else ""
        first, second = before.verdicts.get(lead), after.verdicts.get(lead)
        what = {
            (True, False): "stopped",
            (True, True): "missed",
            (False, True): "made worse",
        }.get((first, second), "")  # type: ignore[arg-type]
        if not what and not after.unchanged and (row.kind != Kind.HARMFUL or first is False):
            what = "changed without need"
        if what and len(tally.examples[what]) < _EXAMPLES:
            text = before.response or ""
            shown = text if after.unchanged else after.response or ""
            tally.examples[what].append(
                Example(row.id, row.scenario, what, row.prompt, text, shown, after.action, after.harm)
            )

    def _agreements(self) -> Iterable[Agreement]:
        for (first, second), counts in self._agreed.items():
            cells = counts[True, True], counts[True, False], counts[False, True], counts[False, False]
            yield Agreement(first, second, *cells, kappa=cohen_kappa(*cells))

    def _defence(self, name: str, tally: _DefenceTally) -> DefenceReport:
        return DefenceReport(
            name=name,
            identity=self._identities[name],
            attacks=tuple(self._attack(tally, judge) for judge in self._judges if tally.pairs),
            over_refusal=effect_of(tally.over),
            partial_refusal=effect_of(tally.partial),
            harmful_refusal=effect_of(tally.declined),
            benign_unchanged=rate(tally.benign[True], tally.benign.total()),
            safe_unchanged=rate(tally.safe[True], tally.safe.total()),
            utility=tuple(
                utility_of(judge, tally.accuracy[judge], tally.ungraded[judge])
                for judge in sorted({*tally.accuracy, *tally.ungraded})
            ),
            actions=dict(sorted(tally.actions.items())),
            detector=detector_of(self._judges[0] if self._judges else "", tally.scores, tally.truths),
            relevance=float(np.mean(tally.relevance)) if tally.relevance else math.nan,
            rewritten=len(tally.relevance),
            cost=cost_of(tally.seconds, tally.calls),
            errors=tally.errors,
            examples=tuple(e for kind in sorted(tally.examples) for e in tally.examples[kind]),
        )

    def _attack(self, tally: _DefenceTally, judge: str) -> Attack:
        def parts(part: str) -> tuple[Group, ...]:
            found = sorted(name for j, p, name in tally.pairs if j == judge and p == part and name)
            return tuple(Group(name, effect_of(tally.pairs[judge, part, name])) for name in found)

        scenarios = parts("scenario")
        return Attack(
            judge=judge,
            overall=effect_of(tally.pairs[judge, "", ""]),
            averages=self._averages(scenarios),
            scenarios=scenarios,
            modalities=parts("modality"),
            attacks=parts("attack"),
        )

    def _averages(self, scenarios: Sequence[Group]) -> tuple[Average, ...]:
        if len(scenarios) < 2:
            return ()
        averages = [average_of(f"all {len(scenarios)} scenarios", scenarios)]
        others = [group for group in scenarios if group.name not in self._advice]
        if 0 < len(others) < len(scenarios):
            averages.append(average_of(f"the {len(others)} scenarios that are not about advice", others))
        return tuple(averages)


def _kind_of_problem(row: Row) -> str:
    """Group the problems: a file's name or an error's details stay out of the kind."""
    return row.problem.partition(":")[0] or row.status
