"""The guard: detect, decide, rewrite, detect again, deliver; over any back-ends, in batches.

What ``Protector.protect`` guarantees, whatever the back-ends do:

* What the policy allows or flags comes back byte for byte.
* What comes back rewritten was judged again and meets the policy's standard, or is its refusal.
* Order and length are kept; an exchange's failure touches no other exchange.
* A detector that fails leads to the policy's ``on_error``. A detoxifier that fails never lets the
  harmful response out, whatever ``on_error`` says: the next one is tried, then the refusal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mllm_protector.errors import BackendError, PolicyError
from mllm_protector.interfaces import Detoxifier, HarmDetector, ImageReader, RelevanceMeter, Transcriber
from mllm_protector.isolation import isolated, tell
from mllm_protector.policy import Decision, Policy
from mllm_protector.reading import Reading, read_media
from mllm_protector.rewriting import DISCLAIMER, Case, Rewriter
from mllm_protector.types import Action, Detection, Exchange, Image, Protection, Query, Recording, Turn

__all__ = ["Protector"]


class Protector:
    """Guards the responses of a multimodal LLM by a policy.

    Thread-safe if its back-ends are. Build one with ``mllm_protector.load_protector``, or by hand:

    Args:
        detector: scores exchanges, before and after a rewrite.
        policy: the standard of safety.
        detoxifiers: name -> back-end, tried in order until a rewrite passes.
        image_reader: reads the images of queries that come without ``image_text``; None reads none.
        transcriber: does the same for their recordings.
        relevance: measures whether rewrites speak to the request; None leaves the policy's floor out.
        clock: seconds that only grow; for the policy's time budget.

    Raises:
        PolicyError: the policy has a ``target_fpr`` that no threshold was taken from.
    """

    def __init__(
        self,
        detector: HarmDetector,
        policy: Policy,
        detoxifiers: Mapping[str, Detoxifier] | None = None,
        *,
        image_reader: ImageReader | None = None,
        transcriber: Transcriber | None = None,
        relevance: RelevanceMeter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if policy.targets:
            raise PolicyError(
                f"policy {policy.name} has a target_fpr: make the guard with load_protector or build, or "
                "give it resolve_targets(policy, detector)"
            )
        self.detector = detector
        self.policy = policy
        self.detoxifiers = dict(detoxifiers or {})
        self.image_reader = image_reader
        self.transcriber = transcriber
        self.relevance = relevance
        self._clock = clock

    def with_policy(self, policy: Policy) -> Protector:
        """Return a guard over the same back-ends that keeps to another policy.

        Raises:
            PolicyError: the policy has a ``target_fpr`` that no threshold was taken from.
        """
        return Protector(
            self.detector,
            policy,
            self.detoxifiers,
            image_reader=self.image_reader,
            transcriber=self.transcriber,
            relevance=self.relevance,
            clock=self._clock,
        )

    def __call__(
        self,
        prompt: str,
        response: str,
        images: Sequence[Image] = (),
        *,
        image_text: str = "",
        history: Sequence[Turn] = (),
        recordings: Sequence[Recording] = (),
    ) -> Protection:
        """Guard one response; see ``protect`` for many."""
        query = Query(prompt, tuple(images), tuple(history), image_text, tuple(recordings))
        return self.protect([Exchange(query, response)])[0]

    def detect(self, exchanges: Sequence[Exchange]) -> list[Detection]:
        """Return the detector's word on each exchange, in order; empty responses have harm 0.

        Raises:
            BackendError: the detector, the image reader or the transcriber failed.
        """
        cases = [Case(exchange) for exchange in exchanges]
        self._read(cases)
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
        cases = [Case(exchange) for exchange in exchanges]
        self._read(cases)
        self._detect(cases)
        for case in cases:
            case.decision = self._order(case)
        rewriter = Rewriter(self._judge, self.policy, self.detoxifiers, self.relevance, self._clock)
        rewriter.rewrite([c for c in cases if c.decision.action in (Action.DISCLAIM, Action.DETOXIFY)])
        return [self._settle(case, original) for case, original in zip(cases, exchanges, strict=True)]

    def read(self, queries: Sequence[Query]) -> list[Reading]:
        """Read the images and transcribe the recordings of queries; never raises for a back-end's failure."""
        return read_media(queries, self.image_reader, self.transcriber)

    def _read(self, cases: Sequence[Case]) -> None:
        """Fill ``image_text`` where media came without it; what could not be read is that case's error."""
        for case, reading in zip(cases, self.read([c.exchange.query for c in cases]), strict=True):
            case.exchange = replace(case.exchange, query=reading.query)
            case.errors += [f"{part} was not read: {tell(error)}" for part, error in reading.failures.items()]

    def _detect(self, cases: Sequence[Case]) -> None:
        """Judge the responses; what could not be judged keeps ``detection=None`` and an error."""
        for case in cases:
            if not case.exchange.response.strip() and not case.errors:
                case.detection = Detection(harm=0.0)
        pending = [case for case in cases if case.detection is None and not case.errors]
        for case, result in zip(pending, self._judge([c.exchange for c in pending]), strict=True):
            if isinstance(result, Exception):
                case.errors.append(f"detector: {tell(result)}")
            else:
                case.detection = result

    def _judge(self, exchanges: Sequence[Exchange]) -> list[Detection | Exception]:
        return isolated(self.detector.detect, exchanges, check=_is_detection)

    def _order(self, case: Case) -> Decision:
        if case.detection is not None:
            if not case.exchange.response.strip():
                return Decision(Action.ALLOW, reason="empty response")
            return self.policy.decide(case.detection, case.exchange)
        denied = self.policy.denied(case.exchange.response)
        if denied is not None:
            return replace(denied, action=Action.REFUSE)
        return Decision(
            self.policy.on_error,
            reason="could not be judged",
            text=self.policy.texts.in_language("unavailable", case.language),
        )

    def _settle(self, case: Case, original: Exchange) -> Protection:
        """Turn a case into its protection: the original, the accepted rewrite, or the refusal."""
        ordered = case.decision.action
        action, response = ordered, original.response
        if case.rewritten is not None:
            action = Action.DISCLAIM if case.rewritten.detoxifier == DISCLAIMER else Action.DETOXIFY
            response = case.rewritten.response
        elif not ordered.delivers_original:
            action = Action.REFUSE
            # A category's text is a refusal only where a refusal was in question: a caveat is none.
            decision = replace(case.decision, text=None) if ordered is Action.DISCLAIM else case.decision
            response = self.policy.refusal(decision, case.language)
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
            third_party_instruction=self.policy.planted(case.exchange.query),
        )


def _is_detection(result: object) -> str | None:
    return None if isinstance(result, Detection) else f"returned {type(result).__name__} instead of Detection"
