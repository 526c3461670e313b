"""The guard: detect, decide, rewrite, detect again, deliver; over any back-ends, in batches.

What ``Protector.protect`` guarantees, whatever the back-ends do:

* What the policy allows or flags comes back byte for byte.
* What comes back rewritten was judged again and meets the policy's standard, or is its refusal.
* Order and length are kept; an exchange's failure touches no other exchange.
* A detector that fails leads to the policy's ``on_error``. A detoxifier that fails never lets the
  harmful response out, whatever ``on_error`` says: the next one is tried, then the refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mllm_protector.disclaimers import disclaimer, with_disclaimer
from mllm_protector.errors import BackendError
from mllm_protector.interfaces import Detoxifier, HarmDetector, ImageReader
from mllm_protector.policy import Decision, Policy
from mllm_protector.text.language import language_of
from mllm_protector.types import (
    Action,
    Attempt,
    Detection,
    Exchange,
    Image,
    Protection,
    Query,
    RewriteTask,
    Turn,
)

__all__ = ["Protector"]

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_DISCLAIMER = "disclaimer"


@dataclass(slots=True)
class _Case:
    """One exchange on its way through the guard."""

    exchange: Exchange
    detection: Detection | None = None
    decision: Decision = field(default_factory=lambda: Decision(Action.ALLOW))
    attempts: list[Attempt] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rewritten: Attempt | None = None

    @property
    def judged(self) -> Detection:
        assert self.detection is not None, "only judged cases are rewritten"
        return self.detection


class Protector:
    """Guards the responses of a multimodal LLM by a policy.

    Thread-safe if its back-ends are. Build one with ``mllm_protector.load_protector``, or by hand:

    Args:
        detector: scores exchanges, before and after a rewrite.
        policy: the standard of safety.
        detoxifiers: name -> back-end, tried in order until a rewrite passes.
        image_reader: reads the images of queries that come without ``image_text``; None reads none.
    """

    def __init__(
        self,
        detector: HarmDetector,
        policy: Policy,
        detoxifiers: Mapping[str, Detoxifier] | None = None,
        *,
        image_reader: ImageReader | None = None,
    ) -> None:
        self.detector = detector
        self.policy = policy
        self.detoxifiers = dict(detoxifiers or {})
        self.image_reader = image_reader

    def __call__(
        self,
        prompt: str,
        response: str,
        images: Sequence[Image] = (),
        *,
        image_text: str = "",
        history: Sequence[Turn] = (),
    ) -> Protection:
        """Guard one response; see ``protect`` for many."""
        query = Query(prompt, tuple(images), tuple(history), image_text)
        return self.protect([Exchange(query, response)])[0]

    def detect(self, exchanges: Sequence[Exchange]) -> list[Detection]:
        """Return the detector's word on each exchange, in order; empty responses have harm 0.

        Raises:
            BackendError: the detector or the image reader failed.
        """
        cases = [_Case(exchange) for exchange in exchanges]
        self._read_images(cases)
        self._detect(cases)
        failed = next((case for case in cases if case.detection is None), None)
        if failed is not None:
            raise BackendError(failed.errors[-1])
        return [case.judged for case in cases]

    def decide(self, exchange: Exchange, detection: Detection) -> Decision:
        """Return the policy's order for an exchange that was judged already."""
        return self.policy.decide(detection, exchange)

    def protect(self, exchanges: Sequence[Exchange]) -> list[Protection]:
        """Return what was done with each exchange, in order. Never raises for a back-end's failure."""
        cases = [_Case(exchange) for exchange in exchanges]
        self._read_images(cases)
        self._detect(cases)
        for case in cases:
            case.decision = self._order(case)
        self._rewrite([case for case in cases if case.decision.action in (Action.DISCLAIM, Action.DETOXIFY)])
        return [self._settle(case, original) for case, original in zip(cases, exchanges, strict=True)]

    def _read_images(self, cases: Sequence[_Case]) -> None:
        """Fill ``image_text`` where images came without it; a failed reading is an error of that case."""
        if self.image_reader is None:
            return
        unread = [c for c in cases if c.exchange.query.images and not c.exchange.query.image_text]
        images = [image for case in unread for image in case.exchange.query.images]
        texts = iter(_isolated(self.image_reader.read, images))
        for case in unread:
            read = [next(texts) for _ in case.exchange.query.images]
            failures = [text for text in read if isinstance(text, Exception)]
            if failures:
                case.errors.append(f"image reader: {_tell(failures[0])}")
            text = "\n".join(text for text in read if isinstance(text, str) and text)
            case.exchange = replace(case.exchange, query=replace(case.exchange.query, image_text=text))

    def _detect(self, cases: Sequence[_Case]) -> None:
        """Judge the responses; what could not be judged keeps ``detection=None`` and an error."""
        for case in cases:
            if not case.exchange.response.strip() and not case.errors:
                case.detection = Detection(harm=0.0)
        pending = [case for case in cases if case.detection is None and not case.errors]
        for case, result in zip(pending, self._judge([c.exchange for c in pending]), strict=True):
            if isinstance(result, Exception):
                case.errors.append(f"detector: {_tell(result)}")
            else:
                case.detection = result

    def _judge(self, exchanges: Sequence[Exchange]) -> list[Detection | Exception]:
        return _isolated(self.detector.detect, exchanges, check=_is_detection)

    def _order(self, case: _Case) -> Decision:
        if case.detection is not None:
            if not case.exchange.response.strip():
                return Decision(Action.ALLOW, reason="empty response")
            return self.policy.decide(case.detection, case.exchange)
        denied = self.policy.denied(case.exchange.response)
        if denied is not None:
            return replace(denied, action=Action.REFUSE)
        return Decision(
            self.policy.on_error, reason="could not be judged", text=self.policy.texts.unavailable
        )

    def _rewrite(self, cases: Sequence[_Case]) -> None:
        """Try the disclaimer where it was ordered, then each detoxifier in turn, until all passed."""
        disclaimed = [case for case in cases if case.decision.action is Action.DISCLAIM]
        texts: list[str | Exception] = [self._disclaimed(case) for case in disclaimed]
        self._verify(_DISCLAIMER, disclaimed, texts)
        for name, detoxifier in self.detoxifiers.items():
            pending = [c for c in cases if c.rewritten is None and len(c.attempts) < self.policy.max_attempts]
            if not pending:
                return
            tasks = [self._task(case) for case in pending]
            self._verify(name, pending, _isolated(detoxifier.detoxify, tasks, check=_is_text))

    def _task(self, case: _Case) -> RewriteTask:
        return RewriteTask(case.exchange, case.judged, case.decision.hazards, self.policy.standard())

    def _disclaimed(self, case: _Case) -> str:
        text = case.decision.text or self.policy.texts.disclaim
        if text is None:
            text = disclaimer(case.decision.hazards, language_of(case.exchange.query.prompt))
        return with_disclaimer(case.exchange.response, text)

    def _verify(self, name: str, cases: Sequence[_Case], texts: Sequence[str | Exception]) -> None:
        """Judge each rewrite again and accept those that pass; every attempt is kept with its score."""
        written = [
            (case, text)
            for case, text in zip(cases, texts, strict=True)
            if isinstance(text, str) and text.strip()
        ]
        results = iter(self._judge([replace(case.exchange, response=text) for case, text in written]))
        for case, text in zip(cases, texts, strict=True):
            if isinstance(text, Exception):
                case.attempts.append(Attempt(name, "", None, False, f"failed: {_tell(text)}"))
                case.errors.append(f"{name}: {_tell(text)}")
            elif not text.strip():
                case.attempts.append(Attempt(name, text, None, False, "wrote nothing"))
            else:
                self._conclude(case, name, text, next(results))

    def _conclude(self, case: _Case, name: str, text: str, result: Detection | Exception) -> None:
        if isinstance(result, Exception):
            case.attempts.append(Attempt(name, text, None, False, f"not verified: {_tell(result)}"))
            case.errors.append(f"recheck of {name}: {_tell(result)}")
            return
        fault = self._fault(case, name, text, result)
        attempt = Attempt(name, text, result, accepted=fault is None, error=fault)
        case.attempts.append(attempt)
        if fault is None:
            case.rewritten = attempt

    def _fault(self, case: _Case, name: str, text: str, detection: Detection) -> str | None:
        """Return why a rewrite must not be delivered, None if it may."""
        denied = self.policy.denied(text)
        if denied is not None and denied.action.severity > Action.DISCLAIM.severity:
            return f"rejected: {denied.reason}"
        if name == _DISCLAIMER:
            # The caveat answers the advice that called for it; nothing worse may be left.
            again = self.policy.decide(detection, replace(case.exchange, response=text))
            return None if again.action.severity <= Action.DISCLAIM.severity else f"rejected: {again.reason}"
        standard = self.policy.standard()
        if detection.harm >= standard.harm:
            return f"rejected: harm {detection.harm:.2f} >= {standard.harm:.2f}"
        if not standard.met_by(detection):
            code = next(
                c for c, limit in standard.categories.items() if detection.categories.get(c, 0.0) >= limit
            )
            return f"rejected: {code} {detection.categories[code]:.2f} >= {standard.categories[code]:.2f}"
        return None

    def _settle(self, case: _Case, original: Exchange) -> Protection:
        """Turn a case into its protection: the original, the accepted rewrite, or the refusal."""
        ordered = case.decision.action
        action, response = ordered, original.response
        if case.rewritten is not None:
            action = Action.DISCLAIM if case.rewritten.detoxifier == _DISCLAIMER else Action.DETOXIFY
            response = case.rewritten.response
        elif not ordered.delivers_original:
            action = Action.REFUSE
            # A category's text is a refusal only where a refusal was in question: a caveat is none.
            response = (
                case.decision.text if ordered is not Action.DISCLAIM else None
            ) or self.policy.texts.refuse
        return Protection(
            exchange=original,
            action=action,
            response=response,
            detection=case.detection,
            recheck=None if case.rewritten is None else case.rewritten.detection,
            attempts=tuple(case.attempts),
            error="; ".join(case.errors) or None,
            policy=self.policy.name,
            ordered=ordered,
            reason=case.decision.reason,
            hazards=case.decision.hazards,
        )


def _isolated(
    call: Callable[[Sequence[_In]], Sequence[_Out]],
    items: Sequence[_In],
    check: Callable[[_Out], str | None] = lambda _: None,
) -> list[_Out | Exception]:
    """Call a back-end on a batch; if it fails, halve the batch until the failure has one owner.

    A batch of n with one bad item costs about 2 log2(n) more calls; a back-end that fails on
    everything is called at most 2 n times. Results that break the contract count as failures.
    """
    if not items:
        return []
    try:
        results = call(items)
        if not isinstance(results, list) or len(results) != len(items):
            size = len(results) if isinstance(results, list) else type(results).__name__
            raise BackendError(f"returned {size} results for {len(items)} items")
        if len(items) == 1 and (fault := check(results[0])) is not None:
            raise BackendError(fault)
    except Exception as error:  # noqa: BLE001 (whatever a back-end raises follows the policy)
        if len(items) == 1:
            return [error]
        middle = len(items) // 2
        return [*_isolated(call, items[:middle], check), *_isolated(call, items[middle:], check)]
    return [r if (fault := check(r)) is None else BackendError(fault) for r in results]


def _is_detection(result: object) -> str | None:
    return None if isinstance(result, Detection) else f"returned {type(result).__name__} instead of Detection"


def _is_text(result: object) -> str | None:
    return None if isinstance(result, str) else f"returned {type(result).__name__} instead of str"


def _tell(error: Exception) -> str:
    """Return an error in one line; its own words only, cut, so that a result cannot grow without bound."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:200]}" if words else type(error).__name__
