"""A guarded stream: upstream events in, judged events out, and a proper end whatever happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from mllm_protector.gateway.answer import CONTENT, Outcome, choice_texts, filter_results, protector_object
from mllm_protector.gateway.guard import Guard, Origin
from mllm_protector.gateway.problems import RequestError, upstream_problem
from mllm_protector.gateway.settings import GatewaySettings
from mllm_protector.gateway.sse import DONE, HEARTBEAT, EventReader, event
from mllm_protector.policy import Decision
from mllm_protector.protector import Protector
from mllm_protector.streaming import Check, Piece, StreamGuard
from mllm_protector.text.language import language_of
from mllm_protector.types import Action, Detection, Exchange, Protection, Query

__all__ = ["GuardedStream"]

_QUEUE = 512


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One event of one choice: as it came, and parsed."""

    raw: str
    parsed: Mapping[str, Any]
    last: bool


class GuardedStream:
    """Turns an upstream's stream into one from which nothing unjudged leaves.

    Args:
        guard: judges.
        protector: by which policy.
        query: what was asked.
        response: the upstream's answer, opened.
        settings: how much is held back, limits.
        origin: where it was asked for.
        not_run: parts of the request that were not read.
    """

    def __init__(
        self,
        guard: Guard,
        protector: Protector,
        query: Query,
        response: httpx.Response,
        settings: GatewaySettings,
        origin: Origin,
        not_run: Sequence[str] = (),
    ) -> None:
        self._guard, self._protector, self._query = guard, protector, query
        self._response, self._settings = response, settings
        self._origin, self._not_run = origin, tuple(not_run)
        self._held = StreamGuard[_Chunk](settings.stream.hold())
        self._frame: dict[str, Any] = {"object": "chat.completion.chunk"}
        self._rest: list[str] = []  # events without choices, such as usage
        self._caveats: dict[int, str] = {}
        self._cut_choices: set[int] = set()
        self._reader: asyncio.Task[None] | None = None
        self._queue: asyncio.Queue[str | RequestError | None] = asyncio.Queue(_QUEUE)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield the bytes to send; ends with ``[DONE]``, or with an error event and ``[DONE]``.

        Call ``close`` afterwards, whatever happened.
        """
        self._reader = asyncio.create_task(self._read(self._queue))
        try:
            async for out in self._judged(self._queue):
                yield out
            for raw in self._rest:
                yield event(raw)
        except RequestError as problem:
            yield event(problem.body())
        finally:
            self._guard.metrics.judged_chars.inc(self._held.work)
        yield DONE

    def end(self, problem: RequestError) -> None:
        """End with an error event instead of what still waits."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(problem)

    async def close(self) -> None:
        """Stop reading the upstream; the response may be closed afterwards.

        Once: a second cancellation would interrupt the first one's closing of the connection.
        """
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self, queue: asyncio.Queue[str | RequestError | None]) -> None:
        """Read the upstream into the queue while what came before is being judged."""
        limit = self._settings.limits.answer_chars
        events = EventReader(limit)
        size = 0
        try:
            async for part in self._response.aiter_bytes():
                size += len(part)
                if size > 12 * limit:
                    raise ValueError("the answer is longer than limits.answer_chars")
                for data in events.feed(part):
                    await queue.put(data)
            data_left = events.close()
            if data_left is not None:
                await queue.put(data_left)
            await queue.put(None)
        except httpx.TimeoutException:
            await queue.put(upstream_problem("the upstream stalled", 504))
        except httpx.HTTPError as error:
            await queue.put(upstream_problem(f"the upstream broke off ({type(error).__name__})"))
        except ValueError as error:
            await queue.put(upstream_problem(f"the upstream's stream cannot be read: {error}"))

    async def _judged(self, queue: asyncio.Queue[str | RequestError | None]) -> AsyncIterator[bytes]:
        ended = False
        while not ended:
            try:
                async with asyncio.timeout(self._settings.stream.heartbeat):
                    items = [await queue.get()]
            except TimeoutError:
                yield HEARTBEAT
                continue
            while not queue.empty():
                items.append(queue.get_nowait())
            for item in items:
                if isinstance(item, RequestError):
                    raise item
                if item is None or item.strip() == "[DONE]":
                    ended = True
                    self._held.end()
                    break
                for chunk in self._take(item):
                    yield chunk
            async for chunk in self._checked():
                yield chunk
            if self._all_cut():
                return
        for choice, caveat in self._caveats.items():
            yield self._event(choice, {"content": caveat})

    async def _checked(self) -> AsyncIterator[bytes]:
        """Judge what is due until nothing is; a comment keeps the connection alive meanwhile."""
        while checks := self._held.due():
            task = asyncio.create_task(self._judge(checks))
            try:
                while not (await asyncio.wait({task}, timeout=self._settings.stream.heartbeat))[0]:
                    yield HEARTBEAT
            except BaseException:
                task.cancel()
                raise
            for out in task.result():
                yield out

    def _all_cut(self) -> bool:
        """True if nothing is open any more and something was cut: the upstream need not go on."""
        return bool(self._cut_choices) and not self._held.open_choices and self._held.done

    def _take(self, data: str) -> list[bytes]:
        """Push one event, one piece per choice; return what may go out at once."""
        try:
            parsed = json.loads(data)
            if not isinstance(parsed, dict):
                raise TypeError
        except (ValueError, TypeError, RecursionError) as error:
            raise upstream_problem("the upstream sent an event that is no JSON object") from error
        if parsed.get("error") and not parsed.get("choices"):
            raise upstream_problem("the upstream reported an error in its stream")
        choices = parsed.get("choices")
        if not isinstance(choices, list) or not choices:
            self._rest.append(data)
            return []
        self._frame |= {k: parsed[k] for k in ("id", "object", "created", "model") if k in parsed}
        out: list[bytes] = []
        for choice in choices:
            if not isinstance(choice, dict):
                raise upstream_problem("the upstream sent a choice that is no object")
            index = choice.get("index", 0)
            if not isinstance(index, int):
                raise upstream_problem("the upstream sent a choice whose index is no number")
            alone = parsed if len(choices) == 1 else {**parsed, "choices": [choice]}
            raw = data if len(choices) == 1 else json.dumps(alone, ensure_ascii=False)
            last = choice.get("finish_reason") is not None
            try:
                piece = Piece(index, choice_texts(choice), _Chunk(raw, alone, last), last)
                released = self._held.push(piece)
            except (ValueError, RecursionError) as error:
                raise upstream_problem(f"the upstream's stream cannot be read: {error}") from error
            out += self._sent(released)
        return out

    async def _judge(self, checks: Sequence[Check]) -> list[bytes]:
        exchanges = [Exchange(self._query, check.text) for check in checks]
        judged = await self._guard.decide(self._protector, exchanges)
        out: list[bytes] = []
        for check, exchange, (decision, detection) in zip(checks, exchanges, judged, strict=True):
            if check.choice in self._cut_choices:
                continue
            if decision.action.severity > Action.DISCLAIM.severity:
                out += await self._cut(check, decision, detection)
                continue
            if check.final:
                done = Protection(
                    exchange, decision.action, check.text, detection, policy=self._protector.policy.name,
                    ordered=decision.action, reason=decision.reason, hazards=decision.hazards,
                    third_party_instruction=self._protector.policy.planted(self._query),
                )  # fmt: skip
                await self._record(check, done)
            if check.final and check.channel == CONTENT:
                if decision.action is Action.DISCLAIM:
                    await self._add_caveat(check)
                self._guard.metrics.actions.labels(self._protector.policy.name, decision.action.value).inc()
            out += self._sent(self._held.allow(check))
        return out

    async def _add_caveat(self, check: Check) -> None:
        (found,) = await self._guard.protect(self._protector, [Exchange(self._query, check.text)])
        if found.action is Action.DISCLAIM and found.response.startswith(check.text):
            self._caveats[check.choice] = found.response[len(check.text) :]

    async def _cut(self, check: Check, decision: Decision, detection: Detection | None) -> list[bytes]:
        """End a choice: its held tail is replaced by a verified rewrite, or by the refusal."""
        held = self._held.cut(check.choice)
        self._cut_choices.add(check.choice)
        released, tail = held.released.get(CONTENT, ""), held.held.get(CONTENT, "")
        self._guard.metrics.held_chars.inc(sum(len(text) for text in held.held.values()))
        judged = tail if check.channel == CONTENT and tail.strip() else check.text
        (found,) = await self._guard.protect(self._protector, [Exchange(self._query, judged)])
        refusal = self._protector.policy.refusal(decision, language_of(self._query.prompt))
        text = refusal
        if (
            check.channel == CONTENT
            and found.action is Action.DETOXIFY
            and decision.action is Action.DETOXIFY
        ):
            whole = f"{_joined(released)}{found.response}"
            ((again, _),) = await self._guard.decide(self._protector, [Exchange(self._query, whole)])
            text = found.response if again.action.severity <= Action.DISCLAIM.severity else refusal
        done = replace(
            found, action=Action.DETOXIFY if text is not refusal else Action.REFUSE, response=text,
            exchange=Exchange(self._query, check.text), detection=detection, ordered=decision.action,
            reason=decision.reason, hazards=decision.hazards,
        )  # fmt: skip
        await self._record(check, done)
        self._guard.metrics.actions.labels(self._protector.policy.name, done.action.value).inc()
        gap = _joined(released)[len(released) :]
        return [
            self._event(check.choice, {"content": gap + text}),
            self._event(check.choice, {}, "content_filter", self._outcome(done)),
        ]

    async def _record(self, check: Check, protection: Protection) -> None:
        await self._guard.record(self._origin, [(check.choice, check.channel, protection)], self._not_run)

    def _outcome(self, protection: Protection) -> Outcome:
        return Outcome(
            protection.action,
            {CONTENT: protection},
            self._protector.policy.name,
            self._origin.request_id,
            self._not_run,
        )

    def _sent(self, chunks: Sequence[_Chunk]) -> list[bytes]:
        out: list[bytes] = []
        for chunk in chunks:
            choice = chunk.parsed["choices"][0]
            index = choice.get("index", 0)
            caveat = self._caveats.pop(index, "") if chunk.last else ""
            if not caveat:
                out.append(event(chunk.raw))
                continue
            if choice_texts(choice):  # text and end in one event: the caveat goes between them
                out.append(event({**chunk.parsed, "choices": [{**choice, "finish_reason": None}]}))
            out.append(self._event(index, {"content": caveat}))
            out.append(event({**chunk.parsed, "choices": [{**choice, "delta": {}}]}))
        return out

    def _event(
        self, index: int, delta: Mapping[str, Any], finish: str | None = None, outcome: Outcome | None = None
    ) -> bytes:
        choice: dict[str, Any] = {"index": index, "delta": dict(delta), "finish_reason": finish}
        if outcome is not None:
            choice["protector"] = protector_object(outcome)
            choice["content_filter_results"] = filter_results(outcome)
        return event({**self._frame, "choices": [choice]})


def _joined(released: str) -> str:
    """What went out, with room after it for a text of its own."""
    return released if not released or released.endswith("\n") else f"{released}\n\n"
