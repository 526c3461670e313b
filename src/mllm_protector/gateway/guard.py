"""Judges answers for the gateway: through the batcher, by the policy, and closed where judging failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mllm_protector.audit import AuditStore, Verdict
from mllm_protector.errors import BackendError, ProtectorError
from mllm_protector.gateway.answer import Outcome, choice_texts, unreadable
from mllm_protector.gateway.batching import Batcher
from mllm_protector.gateway.metrics import Metrics
from mllm_protector.gateway.problems import audit_unavailable, guard_unavailable
from mllm_protector.policy import Decision
from mllm_protector.protector import Protector
from mllm_protector.types import Action, Detection, Exchange, Protection, Query

__all__ = ["Guard", "Origin"]

_log = logging.getLogger("mllm_protector.gateway")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an answer was asked for.

    Attributes:
        request_id: ours.
        route: the path.
        caller: the client's configured name, never its key.
    """

    request_id: str
    route: str = ""
    caller: str = ""


class Guard:
    """The judging half of the gateway.

    Args:
        batcher: the queue in front of the models.
        metrics: counters.
        audit: where verdicts are written before an answer leaves; None keeps none.
    """

    def __init__(self, batcher: Batcher, metrics: Metrics, audit: AuditStore | None = None) -> None:
        self.batcher, self.metrics, self.audit = batcher, metrics, audit

    async def record(
        self,
        origin: Origin,
        judged: Sequence[tuple[int, str, Protection]],
        not_run: Sequence[str] = (),
    ) -> None:
        """Write verdicts down: number of the choice, channel, what was done.

        Raises:
            RequestError: 503; they could not be written.
        """
        if self.audit is None or not judged:
            return
        verdicts = [
            Verdict(origin.request_id, p, choice, name, origin.route, origin.caller, tuple(not_run))
            for choice, name, p in judged
        ]
        try:
            await asyncio.to_thread(self.audit.record, verdicts)
        except ProtectorError as error:
            self.metrics.failures.labels("audit").inc()
            _log.critical("a verdict could not be recorded, its answer is held back: %s", error)
            raise audit_unavailable() from error

    async def outcomes(
        self,
        protector: Protector,
        query: Query,
        choices: Sequence[Mapping[str, Any]],
        origin: Origin,
        not_run: Sequence[str] = (),
    ) -> list[Outcome]:
        """Return what is to be done with each choice of a whole answer.

        Raises:
            RequestError: 503; it could not be judged, and the policy fails closed.
        """
        texts = [choice_texts(choice) for choice in choices]
        asked = [Exchange(query, text) for found in texts for text in found.values()]
        protections = iter(await self.protect(protector, asked))
        found = []
        for choice, named in zip(choices, texts, strict=True):
            by_channel = {name: next(protections) for name in named}
            missed = (*not_run, *(f"choice: {path} cannot be judged" for path in unreadable(choice)))
            action = max(
                (p.action for p in by_channel.values()), key=lambda a: a.severity, default=Action.ALLOW
            )
            found.append(Outcome(action, by_channel, protector.policy.name, origin.request_id, missed))
            self.metrics.actions.labels(protector.policy.name, action.value).inc()
        judged = [(n, name, p) for n, o in enumerate(found) for name, p in o.protections.items()]
        await self.record(origin, judged, not_run)
        return found

    async def protect(self, protector: Protector, exchanges: Sequence[Exchange]) -> list[Protection]:
        """Guard exchanges; a failed judgement follows the policy's ``on_error``.

        Raises:
            RequestError: 503; the policy fails closed. 429; too much waits.
        """
        if not exchanges:
            return []
        try:
            found = await self.batcher.protect(protector, exchanges)
        except BackendError as error:
            self.failed(protector, str(error))
            return [_passed(protector, exchange, str(error)) for exchange in exchanges]
        for protection in found:
            if protection.detection is None:
                self.failed(protector, protection.error or "the detector failed")
        return found

    async def decide(
        self, protector: Protector, exchanges: Sequence[Exchange]
    ) -> list[tuple[Decision, Detection | None]]:
        """Return the policy's order for texts of a stream, and what it rests on.

        Raises:
            RequestError: as for ``protect``.
        """
        try:
            found = await self.batcher.detect(protector, exchanges)
        except BackendError as error:
            self.failed(protector, str(error))
            return [(Decision(Action.ALLOW, reason="could not be judged"), None)] * len(exchanges)
        return [(protector.decide(e, d), d) for e, d in zip(exchanges, found, strict=True)]

    def failed(self, protector: Protector, why: str) -> None:
        """Raise where the policy fails closed; else log and count the bypass."""
        self.metrics.failures.labels("detector").inc()
        if protector.policy.on_error is not Action.ALLOW:
            _log.error("an answer could not be judged and is held back: %s", why)
            raise guard_unavailable("the detector failed")
        self.metrics.bypasses.inc()
        _log.critical("an answer goes out UNJUDGED, as policy %s orders: %s", protector.policy.name, why)


def _passed(protector: Protector, exchange: Exchange, why: str) -> Protection:
    return Protection(
        exchange, Action.ALLOW, exchange.response, error=why, policy=protector.policy.name,
        reason="could not be judged", third_party_instruction=protector.policy.planted(exchange.query),
    )  # fmt: skip
