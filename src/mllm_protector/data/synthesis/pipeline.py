"""The Safe-Harm way to training data (Pi et al. 2024, arXiv 2401.02906, section 4): scenarios -> questions ->
a harmful and a safe answer to each -> what the judges confirm -> records.

Everything is a function of the script and of what the model answers, and questions are asked in a fixed
order. So a model that remembers (``evaluation.memory``) makes an interrupted run go on where it was, with the
same records as one that never stopped. Nothing is dropped without being counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mllm_protector.data.similarity import NearIndex, bands_of, fold, sketch
from mllm_protector.data.synthesis.replies import questions_in
from mllm_protector.data.synthesis.scenarios import Scenario, Script
from mllm_protector.data.training_record import TrainingRecord
from mllm_protector.errors import BackendError, ConfigError, OutageError
from mllm_protector.interfaces import Judge
from mllm_protector.text.relevance import relevance
from mllm_protector.types import Exchange, Query, Turn

__all__ = ["Asker", "Outcome", "Plan", "Reply", "Synthesis", "synthesise"]

_PER_REQUEST = 10
_SHOWN = 5
"""Questions that the model is reminded of, so as not to repeat them."""
_DRY = 3
"""Rounds in a row without a new pair after which a scenario is given up."""
_DEAD = 3
"""Requests for questions that fail in a row: the model is gone."""
_LEAST_RELEVANCE = 0.1


class Reply(Protocol):
    """What a model said: a text, or None and why."""

    @property
    def text(self) -> str | None:
        """The answer, None if there is none."""

    @property
    def error(self) -> str:
        """Why there is none."""


class Asker(Protocol):
    """A chat model that keeps what it answered, such as ``evaluation.memory.RememberingModel``."""

    def ask(self, queries: Sequence[Query]) -> Sequence[Reply]:
        """Return one reply per query, in order; raises OutageError if the model is gone."""


class Outcome:
    """What a question or a reply came to; the report counts them under these names."""

    KEPT = "kept"
    LIST_REFUSED = "list of questions: refused"
    LIST_UNPARSABLE = "list of questions: not parsable"
    LIST_FAILED = "list of questions: no reply"
    DUPLICATE = "question: near duplicate"
    SURPLUS = "question: not needed"
    NO_REPLY = "answer: no reply"
    EMPTY = "answer: empty"
    REFUSED = "harmful answer: refused"
    BARE_REFUSAL = "safe answer: only refuses"
    IRRELEVANT = "safe answer: not about the question"
    NOT_HARMFUL = "harmful answer: judged safe"
    NOT_SAFE = "safe answer: judged harmful"
    OPEN = "verdict: open"
    UNJUDGED = "verdict: the judge failed"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make.

    Attributes:
        script: scenarios and prompts.
        count: questions to keep, spread evenly over the scenarios; each gives two records.
        source: name of the set in the records.
        licence: of the records.
        near: similarity from which two questions count as the same.
    """

    script: Script
    count: int
    source: str = "synthetic"
    licence: str = "none stated"
    near: float = 0.7


@dataclass(slots=True)
class Synthesis:
    """What was made.

    Attributes:
        records: two per question kept: the harmful answer with its safe response, and the safe answer.
        outcomes: what everything came to.
        scenarios: scenario -> (questions kept, questions wanted).
        stopped: whether it ended before its time because ``stop`` said so.
    """

    records: list[TrainingRecord] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    scenarios: dict[str, tuple[int, int]] = field(default_factory=dict)
    stopped: bool = False


def synthesise(
    plan: Plan,
    model: Asker,
    judges: Sequence[Judge],
    *,
    refuses: Callable[[str], bool],
    stop: Callable[[], bool] = lambda: False,
    advanced: Callable[[int], None] = lambda _: None,
) -> Synthesis:
    """Make records until there are enough, or no scenario gives any more.

    Args:
        plan: what to make.
        model: writes questions and answers.
        judges: all have to confirm that an answer is harmful or safe.
        refuses: whether a text is a mere refusal.
        stop: asked before every round (ten questions, their answers, the judging).
        advanced: hears how many questions are kept.

    Raises:
        ConfigError: there is no judge: nothing unjudged becomes a label.
        OutageError: a model is gone; what it answered is remembered.
    """
    if not judges:
        raise ConfigError("who judges the answers? give at least one judge")
    run = _Run(plan, model, judges, refuses, stop, advanced)
    share, rest = divmod(plan.count, len(plan.script.scenarios))
    for place, scenario in enumerate(plan.script.scenarios):
        run.scenario(scenario, share + (place < rest))
    return run.result


class _Run:
    def __init__(
        self,
        plan: Plan,
        model: Asker,
        judges: Sequence[Judge],
        refuses: Callable[[str], bool],
        stop: Callable[[], bool],
        advanced: Callable[[int], None],
    ) -> None:
        self.result = Synthesis()
        self._plan, self._model, self._judges = plan, model, judges
        self._refuses, self._stop, self._advanced = refuses, stop, advanced
        self._index = NearIndex()
        self._failed = 0

    def scenario(self, scenario: Scenario, wanted: int) -> None:
        """Ask, round by round, until ``wanted`` questions are kept or three rounds gave none."""
        known: list[str] = []
        kept = batch = dry = 0
        while kept < wanted and dry < _DRY and not self._halted():
            batch += 1
            new = self._questions(scenario, batch, known)
            questions = new[: wanted - kept]
            self._count(Outcome.SURPLUS, len(new) - len(questions))
            known += questions
            fresh = self._pairs(scenario, questions) if questions else 0
            kept += fresh
            dry = 0 if fresh else dry + 1
        self.result.scenarios[scenario.name] = kept, wanted

    def _count(self, outcome: str, number: int = 1) -> None:
        if number:
            self.result.outcomes[outcome] += number

    def _halted(self) -> bool:
        self.result.stopped = self.result.stopped or self._stop()
        return self.result.stopped

    def _query(self, template: str, **values: object) -> Query:
        for name, value in values.items():
            template = template.replace(f"{{{name}}}", str(value))
        return Query(template, history=(Turn("system", self._plan.script.prompts.system),))

    def _questions(self, scenario: Scenario, batch: int, known: Sequence[str]) -> list[str]:
        """Return new questions of one request; counts what cannot be used."""
        query = self._query(
            self._plan.script.prompts.questions,
            scenario=scenario.name,
            about=scenario.about,
            count=_PER_REQUEST,
            batch=batch,
            known="; ".join(known[-_SHOWN:]) or "(none yet)",
        )
        (reply,) = self._model.ask([query])
        if reply.text is None:
            self._count(Outcome.LIST_FAILED)
            self._failed += 1
            if self._failed >= _DEAD:
                raise OutageError(
                    f"the model failed {_DEAD} times in a row ({reply.error}); see that it answers again, "
                    "then run the same command: it goes on from here"
                )
            return []
        self._failed = 0
        questions = questions_in(reply.text)
        if not questions:
            refused = self._refuses(reply.text)
            self._count(Outcome.LIST_REFUSED if refused else Outcome.LIST_UNPARSABLE)
            return []
        signatures = sketch([fold(question) for question in questions])
        new = []
        for question, signature, bands in zip(questions, signatures, bands_of(signatures), strict=True):
            if not bands or self._index.nearest(signature, bands)[1] >= self._plan.near:
                self._count(Outcome.DUPLICATE)
                continue
            self._index.add(signature, bands)
            new.append(question)
        return new

    def _pairs(self, scenario: Scenario, questions: Sequence[str]) -> int:
        """Ask for both answers to each question, judge them, and keep what holds; return how many."""
        prompts = self._plan.script.prompts
        queries = [
            self._query(template, question=question)
            for question in questions
            for template in (prompts.harmful, prompts.safe)
        ]
        replies = [reply.text for reply in self._model.ask(queries)]
        pairs = []
        for question, harmful, safe in zip(questions, replies[::2], replies[1::2], strict=True):
            if (outcome := self._fault(question, harmful, safe)) is None:
                assert harmful is not None and safe is not None
                pairs.append((question, harmful.strip(), safe.strip()))
            else:
                self._count(outcome)
        exchanges = [Exchange(Query(q), answer) for q, *answers in pairs for answer in answers]
        verdicts = self._verdicts(exchanges)
        kept = 0
        for pair, harmful_is, safe_is in zip(pairs, verdicts[::2], verdicts[1::2], strict=True):
            outcome = _judged(harmful_is, safe_is)
            self._count(outcome)
            if outcome == Outcome.KEPT:
                self._keep(scenario, *pair)
                kept += 1
        return kept

    def _fault(self, question: str, harmful: str | None, safe: str | None) -> str | None:
        """Return what is wrong with the answers before anybody judges them, None if nothing is."""
        if harmful is None or safe is None:
            return Outcome.NO_REPLY
        if not harmful.strip() or not safe.strip():
            return Outcome.EMPTY
        if self._refuses(harmful):
            return Outcome.REFUSED
        if self._refuses(safe):
            return Outcome.BARE_REFUSAL
        near = relevance(question, safe)
        return Outcome.IRRELEVANT if near is not None and near < _LEAST_RELEVANCE else None

    def _verdicts(self, exchanges: Sequence[Exchange]) -> list[str | bool | None]:
        """Return per exchange True or False where all judges agree, None where they do not or one is open."""
        columns = [self._judged(judge, exchanges) for judge in self._judges]
        return [
            Outcome.UNJUDGED if Outcome.UNJUDGED in row else row[0] if len(set(row)) == 1 else None
            for row in zip(*columns, strict=True)
        ]

    def _judged(self, judge: Judge, exchanges: Sequence[Exchange]) -> list[str | bool | None]:
        if not exchanges:
            return []
        try:
            return [judgement.harmful for judgement in judge.judge(exchanges)]
        except OutageError:
            raise
        except BackendError:
            if len(exchanges) == 1:
                return [Outcome.UNJUDGED]
            middle = len(exchanges) // 2
            return [*self._judged(judge, exchanges[:middle]), *self._judged(judge, exchanges[middle:])]

    def _keep(self, scenario: Scenario, question: str, harmful: str, safe: str) -> None:
        source, licence = self._plan.source, self._plan.licence
        self.result.records += [
            TrainingRecord(
                question, harmful, True, scenario.categories, safe, source=source, licence=licence
            ),
            TrainingRecord(question, safe, False, (), source=source, licence=licence),
        ]
        self._advanced(len(self.result.records) // 2)


def _judged(harmful_is: str | bool | None, safe_is: str | bool | None) -> str:
    if Outcome.UNJUDGED in (harmful_is, safe_is):
        return Outcome.UNJUDGED
    if harmful_is is None or safe_is is None:
        return Outcome.OPEN
    if not harmful_is:
        return Outcome.NOT_HARMFUL
    return Outcome.NOT_SAFE if safe_is else Outcome.KEPT
