"""The rewriting loop: try, judge again, hold the text to the policy, try the next; the refusal is last.

A rewrite is delivered only if it passes every check, in this order: no deny pattern, the standard of
safety, no long run of the harmful text, the standard once more for what it kept of the response without
the words around it, the user's language, the policy's length, and the relevance floor. Attempts and time
are bounded. The loop trusts no back-end: a text that obeys an instruction planted in the harmful answer is
held to the same checks as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mllm_protector.disclaimers import disclaimer, with_disclaimer
from mllm_protector.interfaces import Detoxifier, RelevanceMeter
from mllm_protector.isolation import isolated, tell
from mllm_protector.policy import Decision, Policy
from mllm_protector.text.language import language_of, surely_language_of
from mllm_protector.text.overlap import copied_share, copies_run, kept_sentences, word_list
from mllm_protector.types import Action, Attempt, Detection, Exchange, RewriteTask, Standard

__all__ = ["DISCLAIMER", "Case", "Rewriter"]

DISCLAIMER = "disclaimer"
"""Name of the policy's own addition among the attempts."""

_LEFT_OUT = 4
"""Words of a response, harmful only as a whole, that a rewrite has to be without."""

Judge = Callable[[Sequence[Exchange]], "list[Detection | Exception]"]


@dataclass(slots=True)
class Case:
    """One exchange on its way through the guard."""

    exchange: Exchange
    detection: Detection | None = None
    decision: Decision = field(default_factory=lambda: Decision(Action.ALLOW))
    attempts: list[Attempt] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rewritten: Attempt | None = None

    @property
    def judged(self) -> Detection:
        """The detection of a case that was judged."""
        assert self.detection is not None, "only judged cases are rewritten"
        return self.detection

    @property
    def language(self) -> str:
        """The language of what was asked, for fixed texts."""
        return language_of(_asked(self.exchange))


class Rewriter:
    """Rewrites cases until each has a text that passes, or its budget is spent.

    Args:
        judge: the detector, isolated: a detection or an exception per exchange.
        policy: the standard, the budgets and the fixed texts.
        detoxifiers: name -> back-end, tried in order.
        meter: measures relevance; None asks for none.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        judge: Judge,
        policy: Policy,
        detoxifiers: Mapping[str, Detoxifier],
        meter: RelevanceMeter | None,
        clock: Callable[[], float],
    ) -> None:
        self._judge, self._policy, self._detoxifiers = judge, policy, detoxifiers
        self._meter, self._clock = meter, clock

    def rewrite(self, cases: Sequence[Case]) -> None:
        """Try the disclaimer where it was ordered, then each detoxifier in turn, until all passed."""
        ends = self._clock() + self._policy.rewrite.seconds
        disclaimed = [case for case in cases if case.decision.action is Action.DISCLAIM]
        texts: list[str | Exception] = [self._disclaimed(case) for case in disclaimed]
        self._verify([(case, None) for case in disclaimed], [DISCLAIMER] * len(disclaimed), texts)
        for name, detoxifier, turn in self._turns():
            pending = [case for case in cases if self._goes_on(case, name, turn)]
            left = ends - self._clock()
            if pending and left <= 0:
                for case in (c for c in cases if c.rewritten is None):
                    case.errors.append(f"rewriting took more than {self._policy.rewrite.seconds:g} s")
                return
            tasks = [self._task(case, turn, left) for case in pending]
            written = isolated(detoxifier.detoxify, tasks, check=_is_text)
            names = [_name(name, detoxifier, task) for task in tasks]
            self._verify(list(zip(pending, tasks, strict=True)), names, written)

    def _turns(self) -> Iterator[tuple[str, Detoxifier, int]]:
        for name, detoxifier in self._detoxifiers.items():
            for turn in range(max(1, int(getattr(detoxifier, "attempts", 1)))):
                yield name, detoxifier, turn

    def _goes_on(self, case: Case, name: str, turn: int) -> bool:
        """Whether this try is due: a back-end that failed outright is not asked again for the case."""
        if case.rewritten is not None or len(case.attempts) >= self._policy.max_attempts:
            return False
        failed = turn and case.attempts and (case.attempts[-1].error or "").startswith("failed: ")
        return not (failed and case.attempts[-1].detoxifier == name)

    def _task(self, case: Case, turn: int, left: float) -> RewriteTask:
        rules = self._policy.rewrite
        return RewriteTask(
            case.exchange,
            case.judged,
            case.decision.hazards,
            self._policy.standard(),
            turn=turn,
            previous=tuple(case.attempts),
            tone=rules.tone,
            max_words=rules.max_words,
            seconds=left,
        )

    def _disclaimed(self, case: Case) -> str:
        text = case.decision.text or self._policy.texts.in_language("disclaim", case.language)
        if text is None:
            text = disclaimer(case.decision.hazards, case.language)
        return with_disclaimer(case.exchange.response, text)

    def _verify(
        self,
        asked: Sequence[tuple[Case, RewriteTask | None]],
        names: Sequence[str],
        texts: Sequence[str | Exception],
    ) -> None:
        """Judge each rewrite again and accept those that pass; every attempt is kept with its score."""
        finished = [
            self._with_resources(case, text) if task is not None and isinstance(text, str) else text
            for (case, task), text in zip(asked, texts, strict=True)
        ]
        due = [
            (case, task, text)
            for (case, task), text in zip(asked, finished, strict=True)
            if isinstance(text, str) and text.strip()
        ]
        results = self._judge_again(due)
        for (case, task), name, text in zip(asked, names, finished, strict=True):
            if isinstance(text, Exception):
                case.attempts.append(Attempt(name, "", None, False, f"failed: {tell(text)}"))
                case.errors.append(f"{name}: {tell(text)}")
            elif not text.strip():
                case.attempts.append(Attempt(name, text, None, False, "wrote nothing"))
            else:
                self._conclude(case, task, name, text, next(results))

    def _judge_again(
        self, due: Sequence[tuple[Case, RewriteTask | None, str]]
    ) -> Iterator[tuple[Detection | Exception, Detection | Exception | None]]:
        """Judge every text, and what a rewrite kept of the response: a kind word around it may hide it."""
        kept = [kept_sentences(case.exchange.response, text) if task else "" for case, task, text in due]
        texts = [(case, text) for case, _, text in due]
        texts += [(case, part) for (case, *_), part in zip(due, kept, strict=True) if part]
        found = self._judge([replace(case.exchange, response=text) for case, text in texts])
        parts = iter(found[len(due) :])
        return iter([(found[n], next(parts) if part else None) for n, part in enumerate(kept)])

    def _with_resources(self, case: Case, text: str) -> str:
        """Where help is found goes under a rewrite before it is judged, so that all of it was judged."""
        return with_disclaimer(text, self._policy.resource(case.decision.hazards)) if text.strip() else text

    def _conclude(
        self,
        case: Case,
        task: RewriteTask | None,
        name: str,
        text: str,
        judged: tuple[Detection | Exception, Detection | Exception | None],
    ) -> None:
        result, kept = judged
        if failure := next((found for found in judged if isinstance(found, Exception)), None):
            case.attempts.append(Attempt(name, text, None, False, f"not verified: {tell(failure)}"))
            case.errors.append(f"recheck of {name}: {tell(failure)}")
            return
        assert isinstance(result, Detection)
        assert not isinstance(kept, Exception)
        fault = self._denied(text) or (
            self._fault_of_caveat(case, text, result)
            if task is None
            else self._fault(task, text, result, kept)
        )
        attempt = Attempt(name, text, result, accepted=fault is None, error=fault and f"rejected: {fault}")
        case.attempts.append(attempt)
        if fault is None:
            case.rewritten = attempt

    def _denied(self, text: str) -> str | None:
        denied = self._policy.denied(text)
        mild = denied is None or denied.action.severity <= Action.DISCLAIM.severity
        return None if mild or denied is None else denied.reason

    def _fault_of_caveat(self, case: Case, text: str, found: Detection) -> str | None:
        """The caveat answers the advice that called for it; nothing worse may be left."""
        again = self._policy.decide(found, replace(case.exchange, response=text))
        return None if again.action.severity <= Action.DISCLAIM.severity else again.reason

    def _fault(self, task: RewriteTask, text: str, found: Detection, kept: Detection | None) -> str | None:
        """Return why a rewrite must not be delivered, None if it may."""
        rules = self._policy.rewrite
        if unsafe := _unsafe(found, task.standard):
            return unsafe
        if copied := _copied(task, text, rules.copied_words):
            return copied
        if kept is not None and (unsafe := _unsafe(kept, task.standard)):
            return f"what it kept of the response, by itself: {unsafe}"
        if odd := _other_language(task.exchange, text):
            return odd
        if rules.max_words is not None and (words := len(word_list(text))) > rules.max_words:
            return f"{words} words > {rules.max_words}"
        return self._irrelevant(task, text)

    def _irrelevant(self, task: RewriteTask, text: str) -> str | None:
        floor = self._policy.rewrite.relevance
        if self._meter is None or floor <= 0:
            return None
        (value,) = isolated(lambda _: self._meter.relevance([task], [text]), [text])  # type: ignore[union-attr]
        if isinstance(value, Exception):
            return f"relevance not measured: {tell(value)}"
        return f"relevance {value:.2f} < {floor:.2f}" if value is not None and value < floor else None


def _unsafe(found: Detection, standard: Standard) -> str | None:
    if found.harm >= standard.harm:
        return f"harm {found.harm:.2f} >= {standard.harm:.2f}"
    for code, limit in standard.categories.items():
        if found.categories.get(code, 0.0) >= limit:
            return f"{code} {found.categories[code]:.2f} >= {limit:.2f}"
    return None


def _copied(task: RewriteTask, text: str, longest: int) -> str | None:
    """Whether the text gives again what was harmful: by its sentences, or else as a whole."""
    response = task.exchange.response
    query = task.exchange.query
    harmful = [
        response[span.start : span.end] for span in task.detection.spans if span.harm >= task.standard.harm
    ]
    if not harmful:
        share = copied_share(response, text)
        words = len(word_list(response))
        too_few = (1 - share) * words < min(_LEFT_OUT, words) - 0.5
        return f"repeats {share:.0%} of the harmful response" if too_few and share else None
    given = f"{query.prompt}\n{query.image_text}"
    for part in harmful:
        if copies_run(part, text, longest + 1, given):
            return f"repeats more than {longest} words of the harmful text"
    return None


def _other_language(exchange: Exchange, text: str) -> str | None:
    """A rewrite speaks the language of the request or of the response; None where one cannot tell."""
    written = surely_language_of(text)
    known = {surely_language_of(_asked(exchange)), surely_language_of(exchange.response)} - {None}
    if written is None or not known or written in known:
        return None
    return f"written in {written!r}, asked in {'/'.join(sorted(str(code) for code in known))!r}"


def _asked(exchange: Exchange) -> str:
    """The request in words; the last user turn speaks where the prompt says nothing."""
    query = exchange.query
    turns = [turn.content for turn in query.history if turn.role == "user"]
    return query.prompt.strip() or query.image_text.strip() or (turns[-1] if turns else "")


def _name(name: str, detoxifier: Detoxifier, task: RewriteTask) -> str:
    """A back-end that hands on to others tells whose text it is."""
    name_of = getattr(detoxifier, "name_of", None)
    return f"{name}/{name_of(task)}" if callable(name_of) else name


def _is_text(result: object) -> str | None:
    return None if isinstance(result, str) else f"returned {type(result).__name__} instead of str"
