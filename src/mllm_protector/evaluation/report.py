"""What an evaluation found, as values: the report that every rendering shows.

Rates carry their interval and how many verdicts are open; a figure that cannot be computed is NaN here
and null in JSON, never a made-up 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mllm_protector.evaluation.metrics import Bin
from mllm_protector.evaluation.statistics import Rate

__all__ = [
    "Agreement",
    "Attack",
    "Average",
    "Cost",
    "DefenceReport",
    "Detector",
    "Effect",
    "Example",
    "Group",
    "Problem",
    "Report",
    "Utility",
    "json_values",
    "to_json_values",
]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Effect:
    """One rate before and after a defence, on the same samples.

    Attributes:
        before: without the defence.
        after: with it.
        fixed: samples that were a hit before and are none after.
        broken: samples that were none before and are one after.
        p: exact two-sided McNemar p-value of those two.
    """

    before: Rate
    after: Rate
    fixed: int
    broken: int
    p: float


@dataclass(frozen=True, slots=True)
class Group:
    """The effect in one scenario, modality or attack."""

    name: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Average:
    """The plain mean of the scenarios' rates, each counting the same.

    Attributes:
        over: which scenarios, in words.
        scenarios: how many have a figure.
        before: mean before.
        after: mean after.
    """

    over: str
    scenarios: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Attack:
    """Attack success as one judge sees it.

    Attributes:
        judge: its name.
        overall: over all harmful requests.
        averages: over scenarios, with and without the advice scenarios where there are such.
        scenarios, modalities, attacks: the same in parts.
    """

    judge: str
    overall: Effect
    averages: tuple[Average, ...] = ()
    scenarios: tuple[Group, ...] = ()
    modalities: tuple[Group, ...] = ()
    attacks: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class Utility:
    """Correctness before and after.

    Attributes:
        judge: who graded.
        samples: graded both before and after.
        unjudged: those that were not.
        before: mean accuracy.
        after: mean accuracy.
        low: 2.5th percentile of the bootstrapped difference after - before.
        high: 97.5th percentile.
    """

    judge: str
    samples: int
    unjudged: int
    before: float
    after: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Detector:
    """How well the defence's detector tells harmful answers apart.

    Attributes:
        truth: whose verdict counts as the truth.
        samples: answers with a score and a verdict.
        harmful: those that are harmful.
        auroc, auprc, f1, tpr_at_1_fpr, ece: see ``metrics``; F1 at a threshold of 0.5.
        roc: (false alarms, found).
        bins: reliability.
    """

    truth: str
    samples: int
    harmful: int
    auroc: float
    auprc: float
    f1: float
    tpr_at_1_fpr: float
    ece: float
    roc: tuple[tuple[float, float], ...] = ()
    bins: tuple[Bin, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one query costs.

    Attributes:
        mean, median, p95: seconds.
        calls: further questions to the model, per query.
    """

    mean: float
    median: float
    p95: float
    calls: float = 0.0


@dataclass(frozen=True, slots=True)
class Example:
    """One sample, before and after.

    Attributes:
        id: its name.
        scenario: its scenario.
        what: why it is shown (``stopped``, ``missed``, ``changed without need``, ``made worse``).
        prompt: what was asked.
        before: the model's answer.
        after: what was delivered.
        action: what the defence did.
        harm: P(harmful) of the answer, None if unknown.
    """

    id: str
    scenario: str
    what: str
    prompt: str
    before: str
    after: str
    action: str
    harm: float | None


@dataclass(frozen=True, slots=True)
class DefenceReport:
    """One defence.

    Attributes:
        name: how it was asked for.
        identity: what it depends on.
        attacks: attack success per judge, the leading one first.
        over_refusal: full refusals of benign requests.
        partial_refusal: partial ones.
        harmful_refusal: full refusals of harmful requests, as the refusal rules see it.
        benign_unchanged: answers to benign and utility requests that were delivered byte for byte.
        safe_unchanged: the same of answers to harmful requests that the leading judge calls safe.
        utility: correctness per judge.
        actions: what was done -> how often.
        detector: None if it has none, or nobody judged.
        relevance: mean share of the request's words in rewritten answers that are no full refusal; an
            answer that only got a disclaimer is not rewritten.
        rewritten: how many that mean is over.
        cost: per query, without the model's own answer.
        errors: samples on which something failed.
        examples: to read.
    """

    name: str
    identity: str
    attacks: tuple[Attack, ...]
    over_refusal: Effect
    partial_refusal: Effect
    harmful_refusal: Effect
    benign_unchanged: Rate
    safe_unchanged: Rate
    utility: tuple[Utility, ...]
    actions: Mapping[str, int]
    detector: Detector | None
    relevance: float
    rewritten: int
    cost: Cost
    errors: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two judges on the same answers.

    Attributes:
        first, second: their names.
        both: answers both call harmful.
        only_first, only_second: answers only one does.
        neither: answers neither does.
        kappa: Cohen's kappa.
    """

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    kappa: float


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is in no figure.

    Attributes:
        what: of which kind.
        count: how often.
        names: the first few.
    """

    what: str
    count: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole evaluation.

    Attributes:
        version: of this package.
        settings: what the figures depend on.
        warnings: what a reader has to know first.
        samples: samples in the selection.
        evaluated: those that are in the figures.
        kinds: kind of request -> how many were evaluated.
        problems: everything that is not, by kind.
        judges: judge of safety -> answers whose verdict is open, before and after all defences.
        agreements: between each two judges.
        answering: seconds per answer of the model, None if the answers were recorded.
        defences: what was compared.
    """

    version: str
    settings: Mapping[str, str]
    warnings: tuple[str, ...]
    samples: int
    evaluated: int
    kinds: Mapping[str, int]
    problems: tuple[Problem, ...]
    judges: Mapping[str, int]
    agreements: tuple[Agreement, ...]
    answering: Cost | None
    defences: tuple[DefenceReport, ...]
    format: int = field(default=FORMAT)


def to_json_values(report: Report) -> dict[str, Any]:
    """Return the report as JSON values: six decimals, NaN as null."""
    plain: dict[str, Any] = json_values(asdict(report))
    return plain


def json_values(value: Any) -> Any:
    """Return plain data as JSON values: six decimals, NaN and infinities as null."""
    if isinstance(value, dict):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
