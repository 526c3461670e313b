"""One streamed answer, held back until it is judged: for clients that call a model in their own process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from mllm_protector.errors import BackendError
from mllm_protector.policy import Decision
from mllm_protector.protector import Protector
from mllm_protector.streaming import Check, Hold, Piece, StreamGuard
from mllm_protector.text.language import language_of
from mllm_protector.types import Action, Detection, Exchange, Protection, Query

__all__ = ["CONTENT", "Added", "HeldAnswer", "with_images_read"]

_log = logging.getLogger("mllm_protector.clients")
_P = TypeVar("_P")

CONTENT = "message.content"
"""Channel of the answer proper; any other channel ends the answer with a refusal."""


@dataclass(frozen=True, slots=True)
class Added:
    """Text of ours that belongs after what went out: a rewrite, a refusal or a caveat."""

    text: str


class HeldAnswer(Generic[_P]):
    """Lets the pieces of an answer out once they are judged and allowed; ends it where harm is found.

    Args:
        protector: judges and rewrites.
        query: what was asked (see ``with_images_read``).
        hold: how much is held back.

    Attributes:
        protection: what was done, None until the answer has ended.
    """

    def __init__(self, protector: Protector, query: Query, hold: Hold | None = None) -> None:
        self._protector, self._query = protector, query
        self._held = StreamGuard[_P](hold)
        self._caveat = ""
        self.protection: Protection | None = None
        self._judged: list[Protection] = []

    def push(self, texts: Mapping[str, str], piece: _P) -> list[_P | Added]:
        """Take a piece and the text that it adds to each channel; return what may go out now.

        Once ``protection`` is set the answer has ended, and what comes later is dropped.
        """
        if self.protection is not None:
            return []
        return [*self._held.push(Piece(0, texts, piece)), *self._checked()]

    def close(self) -> list[_P | Added]:
        """Say that the model has finished; return the rest."""
        if self.protection is not None:
            return []
        self._held.end()
        out = self._checked()
        if self.protection is None:
            nothing = Protection(
                Exchange(self._query, ""), Action.ALLOW, "", policy=self._protector.policy.name
            )
            self.protection = max(self._judged, key=lambda p: p.action.severity, default=nothing)
            out += [Added(self._caveat)] if self._caveat else []
        return out

    def _checked(self) -> list[_P | Added]:
        out: list[_P | Added] = []
        while self.protection is None and (checks := self._held.due()):
            for check in checks:
                if self.protection is None:
                    out += self._settle(check)
        return out

    def _settle(self, check: Check) -> list[_P | Added]:
        exchange = Exchange(self._query, check.text)
        detection: Detection | None = None
        try:
            (detection,) = self._protector.detect([exchange])
            decision = self._protector.decide(exchange, detection)
        except BackendError as error:
            decision = self._unjudged(check.text, error)
        if decision.action.severity > Action.DISCLAIM.severity:
            return self._cut(check, decision, detection)
        if check.final:
            self._judged.append(self._protection(check, decision, detection, check.text))
            if decision.action is Action.DISCLAIM and check.channel == CONTENT:
                (found,) = self._protector.protect([exchange])
                self._caveat = found.response.removeprefix(check.text)
        return list(self._held.allow(check))

    def _unjudged(self, text: str, error: BackendError) -> Decision:
        policy = self._protector.policy
        language = language_of(self._query.prompt)
        if policy.on_error is Action.ALLOW and policy.denied(text) is None:
            _log.critical("an answer goes out UNJUDGED, as policy %s orders: %s", policy.name, error)
            return Decision(Action.ALLOW, reason="could not be judged")
        _log.error("an answer could not be judged and is held back: %s", error)
        told = policy.texts.in_language("unavailable", language)
        return Decision(Action.REFUSE, reason="could not be judged", text=told)

    def _cut(self, check: Check, decision: Decision, detection: Detection | None) -> list[_P | Added]:
        """End the answer: what is held gives way to its verified rewrite, or to the refusal."""
        held = self._held.cut(0)
        released, tail = held.released.get(CONTENT, ""), held.held.get(CONTENT, "")
        gap = "" if not released or released.endswith("\n") else "\n\n"
        text = self._protector.policy.refusal(decision, language_of(self._query.prompt))
        action, found = Action.REFUSE, None
        if decision.action is Action.DETOXIFY and check.channel == CONTENT:
            (found,) = self._protector.protect([Exchange(self._query, tail if tail.strip() else check.text)])
            if found.action is Action.DETOXIFY and self._fits(released + gap + found.response):
                action, text = Action.DETOXIFY, found.response
        done = self._protection(check, decision, detection, text)
        self.protection = replace(done, action=action, attempts=() if found is None else found.attempts)
        if action is Action.DETOXIFY and found is not None:
            self.protection = replace(self.protection, recheck=found.recheck)
        return [Added(gap + text)]

    def _fits(self, whole: str) -> bool:
        """Whether a rewrite may stand after what went out."""
        exchange = Exchange(self._query, whole)
        try:
            (detection,) = self._protector.detect([exchange])
        except BackendError:
            return False
        action = self._protector.decide(exchange, detection).action
        return action.severity <= Action.DISCLAIM.severity

    def _protection(
        self, check: Check, decision: Decision, detection: Detection | None, text: str
    ) -> Protection:
        return Protection(
            Exchange(self._query, check.text), decision.action, text, detection,
            error=None if detection is not None else decision.reason,
            policy=self._protector.policy.name, ordered=decision.action, reason=decision.reason,
            hazards=decision.hazards,
        )  # fmt: skip


def with_images_read(protector: Protector, query: Query) -> Query:
    """Return the query with its images read once, so that no window of a stream reads them again.

    Where the reader fails the images stay, and judging fails and follows the policy's ``on_error``.
    """
    if protector.image_reader is None or not query.images or query.image_text:
        return query
    try:
        texts = protector.image_reader.read(list(query.images))
    except Exception as error:  # noqa: BLE001 (whatever a reader raises, the image was not read)
        _log.error("an image could not be read: %s", type(error).__name__)
        return query
    return replace(query, images=(), image_text="\n".join(text for text in texts if text))
