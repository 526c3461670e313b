"""An evaluation as a user orders it, and what is built from the order: the composition root."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mllm_protector import __version__
from mllm_protector.errors import ConfigError
from mllm_protector.evaluation import criteria
from mllm_protector.evaluation.answers import Answers, LiveAnswers, OwnAnswers, RecordedAnswers
from mllm_protector.evaluation.backends import (
    guard_of,
    harm_seats,
    model_of,
    same_brains,
    utility_seats,
)
from mllm_protector.evaluation.benchmarks import Benchmark, benchmark
from mllm_protector.evaluation.defences import defence
from mllm_protector.evaluation.memory import AnswerStore, RememberingModel
from mllm_protector.evaluation.panel import LABELS, Panel
from mllm_protector.evaluation.run import Job
from mllm_protector.evaluation.samples import Sample, Survey, checked, select, survey

__all__ = ["Plan", "Prepared", "prepare"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to evaluate, on what, judged by whom.

    Attributes:
        benchmark: its name (``benchmarks.BENCHMARKS``).
        data: the folder (or file) it lies in.
        answers: recorded answers, JSON lines with ``id`` and ``response``; None uses the model, or the
            answers in the set.
        model: a chat model as ``KIND:NAME``, such as ``openai:my-model``; None asks nobody.
        model_options: further options of its constructor, such as ``base_url``.
        judges: ``NAME`` or ``NAME=ARGUMENT``: ``llm=KIND:NAME``, ``detector``, ``detector=FOLDER``,
            ``refusal``, ``keyword``, ``module:Class``. The first leads the report.
        judge_options: further options of the judges' chat model.
        labels: lead with the set's own labels for the recorded answers.
        defences: names of ``defences.DEFENCES``.
        policy: the guard's policy, None for the configuration's.
        config: YAML that names the guard's back-ends, None for the embedded ones.
        modalities: only these; empty takes the benchmark's usual ones.
        scenarios: only these; empty takes all.
        limit: evaluate only so many samples, drawn with ``seed``; None takes all.
        seed: of the draw, and of the model where it takes one.
        batch_size: samples taken together.
        workers: questions to an endpoint under way at once.
        threads: CPU threads of the guard's detector, None for its default.
        cache: file that remembers the models' answers, None keeps it beside the results.
    """

    benchmark: str
    data: Path
    answers: Path | None = None
    model: str | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)
    judges: tuple[str, ...] = ()
    judge_options: Mapping[str, Any] = field(default_factory=dict)
    labels: bool = False
    defences: tuple[str, ...] = ("protector",)
    policy: str | None = None
    config: Path | None = None
    modalities: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    limit: int | None = None
    seed: int = 0
    batch_size: int = 32
    workers: int = 8
    threads: int | None = None
    cache: Path | None = None


DEFAULT_JUDGES = ("detector", "refusal")
"""Judges without a model or a network. The first is the guard's own detector: a warning says so."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything built, nothing run yet.

    Attributes:
        job: what ``run`` takes.
        settings: what the figures depend on.
        warnings: what a reader has to know first.
        absent: files of the benchmark that are not there.
    """

    job: Job
    settings: Mapping[str, str]
    warnings: tuple[str, ...]
    absent: tuple[str, ...]


def prepare(plan: Plan, home: Path, stack: ExitStack) -> Prepared:
    """Build what ``plan`` orders, and look over the benchmark once.

    Args:
        plan: the order.
        home: folder of the results; the cache lies there unless the plan names another.
        stack: closes what was opened.

    Raises:
        InputError: the benchmark or the answers cannot be read.
        ConfigError, PolicyError, MissingExtraError, CheckpointError: something cannot be built.
    """
    loader = benchmark(plan.benchmark)
    if plan.answers is not None and plan.model is not None:
        needed = {"system-prompt", "self-check"} & set(plan.defences)
        if not needed:
            raise ConfigError("give --answers or --model: answers are recorded, or asked for")
    found = survey(_samples(plan, loader), limit=plan.limit, seed=plan.seed)
    if not found.total:
        raise ConfigError(
            f"{plan.benchmark} has no samples of that modality and scenario; see `evaluate list`"
        )
    store = _Lazily(plan.cache or home / "answers.sqlite", stack)
    model = (
        None
        if plan.model is None
        else model_of(plan.model, plan.model_options, plan.seed, store(), plan.workers)
    )
    answers = _answers(plan, model, stack)
    protector, guard = guard_of(plan.policy, plan.config, plan.threads)
    harm = harm_seats(plan.judges or DEFAULT_JUDGES, plan.judge_options, plan.seed, store, plan.workers)
    panel = Panel(harm, utility_seats(harm), labels=plan.labels)
    defences = tuple(defence(name, protector, guard, model) for name in _named(plan.defences))
    job = Job(
        samples=lambda: _chosen(_samples(plan, loader), found),
        total=found.total,
        answers=answers,
        defences=defences,
        panel=panel,
        with_images=protector.image_reader is not None or (model is not None and not answers.live),
        batch_size=plan.batch_size,
    )
    absent = tuple(loader.absent(plan.data))
    settings = _settings(plan, found, job)
    warnings = (*_warnings(plan, loader, panel, guard, answers), *_lacking(plan, loader, found))
    return Prepared(job, settings, warnings, absent)


def _samples(plan: Plan, loader: Benchmark) -> Iterator[Sample]:
    modalities = plan.modalities or loader.card.usual
    return select(checked(loader.samples(plan.data)), modalities, plan.scenarios)


def _chosen(samples: Iterator[Sample], found: Survey) -> Iterator[Sample]:
    if found.chosen is None:
        return samples
    chosen = found.chosen
    return (sample for place, sample in enumerate(samples) if place in chosen)


def _answers(plan: Plan, model: RememberingModel | None, stack: ExitStack) -> Answers:
    if plan.answers is not None:
        recorded = RecordedAnswers(plan.answers)
        stack.callback(recorded.close)
        return recorded
    return OwnAnswers() if model is None else LiveAnswers(model)


def _named(names: tuple[str, ...]) -> list[str]:
    """``none`` is what every defence is compared with: it is always there."""
    return [name for name in dict.fromkeys(names) if name != "none"]


def _settings(plan: Plan, found: Survey, job: Job) -> dict[str, str]:
    return {
        "benchmark": plan.benchmark,
        "data": found.revision,
        "modalities": ", ".join(plan.modalities) or "usual",
        "scenarios": ", ".join(plan.scenarios) or "all",
        "limit": "none" if plan.limit is None else f"{plan.limit}, seed {plan.seed}",
        "criteria": criteria.revision(),
        "judges": "; ".join([LABELS] * plan.labels + [f"{s.name}: {s.identity}" for s in job.panel.safety]),
        "answers": job.answers.identity,
        "defences": "; ".join(f"{d.name}: {d.identity}" for d in job.defences) or "none",
        "batch size": str(plan.batch_size),
        "version": __version__,
    }


def _warnings(plan: Plan, loader: Benchmark, panel: Panel, guard: str, answers: Answers) -> tuple[str, ...]:
    warnings = [f"{seat.name}: {seat.warning}" for seat in panel.safety if seat.warning]
    for seat in panel.safety:
        if same_brains(seat.identity, guard):
            warnings.append(
                f"the judge {seat.name} is the guard's own detector: what the guard lets pass, this judge "
                "calls safe, so its figures after the guard are too good by construction; give an "
                "independent judge"
            )
        if answers.live and same_brains(seat.identity, answers.identity):
            warnings.append(f"the judge {seat.name} is the model that answered: it judges its own answers")
    if not plan.judges:
        warnings.append(
            "no judge was given: the embedded detector and the refusal rules judged; for figures to publish "
            "give --judge llm=KIND:NAME"
        )
    if plan.limit is not None:
        warnings.append(f"a draw of {plan.limit} samples, not the whole set")
    if loader.card.note:
        warnings.append(f"{loader.card.title}: {loader.card.note}")
    if len(plan.defences) > 1:
        warnings.append(
            "defences share one detector and what it remembers: take times from a run with one defence"
        )
    return tuple(warnings)


def _lacking(plan: Plan, loader: Benchmark, found: Survey) -> list[str]:
    """Say where the folder holds fewer samples than the set has."""
    if plan.scenarios:
        return []
    wanted = plan.modalities or loader.card.usual or loader.card.modalities
    return [
        f"the folder holds {found.modalities.get(modality, 0)} of the {whole} samples that "
        f"{loader.card.title} asks as {modality}"
        for modality, whole in (loader.card.expected or {}).items()
        if modality in wanted and found.modalities.get(modality, 0) < whole
    ]


class _Lazily:
    """The store of answers, opened when something asks a model."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack
        self._store: AnswerStore | None = None

    def __call__(self) -> AnswerStore:
        if self._store is None:
            self._store = self._stack.enter_context(AnswerStore(self._path))
        return self._store
