"""The application: routes, limits, errors, and the life of the server."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mllm_protector.audit import AuditStore
from mllm_protector.gateway import judging
from mllm_protector.gateway.answer import rewrite_choice
from mllm_protector.gateway.batching import Batcher
from mllm_protector.gateway.clients import ClientBook, Slot
from mllm_protector.gateway.fetching import Fetcher
from mllm_protector.gateway.guard import Guard, Origin
from mllm_protector.gateway.handlers import HANDLERS
from mllm_protector.gateway.media import MediaReader, Seen
from mllm_protector.gateway.messages import (
    Json,
    passed_error,
    reply_json,
    request_body,
    request_json,
    told_headers,
)
from mllm_protector.gateway.metrics import Metrics
from mllm_protector.gateway.openapi import document
from mllm_protector.gateway.policies import PolicyBook
from mllm_protector.gateway.problems import STOPPING, RequestError, shutting_down, upstream_problem
from mllm_protector.gateway.settings import GatewaySettings
from mllm_protector.gateway.streams import GuardedStream
from mllm_protector.gateway.upstream import Reply, Upstream
from mllm_protector.gateway.wire import chat_query, requested_policies
from mllm_protector.protector import Protector
from mllm_protector.types import Action, Exchange, Query

__all__ = ["create_app"]

_log = logging.getLogger("mllm_protector.gateway")
Handler = Callable[["Gateway", Request, "Call"], Awaitable[Response]]


@dataclass(slots=True)
class Call:
    """One request on its way.

    Attributes:
        origin: its id, route and caller.
        protector: by whose policy it is judged.
        body: parsed.
        raw: as it came.
        slot: its place among the requests that run.
    """

    origin: Origin
    protector: Protector
    body: dict[str, Any]
    raw: bytes
    slot: Slot


class Gateway:
    """What the routes share; made once per process."""

    def __init__(
        self,
        protector: Protector,
        settings: GatewaySettings,
        source: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.policies = PolicyBook(protector, source, settings.policies)
        everything = (self.policies.default, *self.policies.names())
        self.clients = ClientBook(settings, everything)
        self.upstream = Upstream(settings, forward_keys=self.clients.open, transport=transport)
        self.batcher = Batcher(settings.batching, self.metrics.observe_batch)
        self.audit = None if settings.audit is None else AuditStore(**settings.audit.model_dump())
        self.media = MediaReader(settings, self.metrics, fetcher)
        self.guard = Guard(self.batcher, self.metrics, self.audit)
        self.ready = False
        self._streams: set[GuardedStream] = set()
        self._closing: set[asyncio.Future[None]] = set()

    @asynccontextmanager
    async def life(self, _: Starlette) -> AsyncIterator[dict[str, Any]]:
        """Warm the models, then serve until told to stop."""
        stopping = asyncio.Event()
        async with self.batcher:
            chores = [
                asyncio.create_task(c) for c in (self._reload(), self._watch(), self._end_streams(stopping))
            ]
            await self.batcher.detect(self.policies.choose(None), [Exchange(Query("Hi"), "Hello there.")])
            self.ready = True
            try:
                yield {STOPPING: stopping}
            finally:
                self.ready = False
                for chore in chores:
                    chore.cancel()
                await asyncio.gather(*chores, return_exceptions=True)
                await self.upstream.close()
                await self.media.close()
                if self.audit is not None:
                    self.audit.close()

    async def _reload(self) -> None:
        while True:
            await asyncio.sleep(self.settings.reload_seconds)
            good, broken = await asyncio.to_thread(self.policies.reload)
            self.metrics.reloads.labels("done").inc(len(good))
            self.metrics.reloads.labels("broken").inc(len(broken))
            self.metrics.broken.set(len(self.policies.broken))

    async def _end_streams(self, stopping: asyncio.Event) -> None:
        """Once the server is told to stop, give streams their time and then a proper end."""
        await stopping.wait()
        self.ready = False
        await asyncio.sleep(self.settings.timeouts.shutdown)
        for stream in self._streams:
            stream.end(shutting_down())

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.5
            await asyncio.sleep(0.5)
            self.metrics.lag.set(max(0.0, loop.time() - due))
            self.metrics.waiting.set(self.batcher.waiting)
            self.metrics.running.set(self.clients.running)

    # -- chat ---------------------------------------------------------------------------------------

    async def chat(self, request: Request, call: Call) -> Response:
        """Ask the protected model, and let out what the policy allows."""
        query = chat_query(call.body, self.settings.limits)
        parts = await self.media.parts(call.protector, call.body["messages"])
        reading = asyncio.create_task(self.media.read(call.protector, query, parts))
        try:
            return await self._relay(request, call, reading, len(parts.not_run))
        finally:
            reading.cancel()

    async def _relay(
        self, request: Request, call: Call, reading: asyncio.Task[Seen], accounted: int
    ) -> Response:
        """Send the request on; its media are read meanwhile, and waited for once the upstream answers."""

        async def seen() -> Seen:
            found = await reading
            self.media.account(found.not_run[accounted:])
            return found

        own = call.body.pop("protector", None)
        raw = call.raw if own is None else json.dumps(call.body).encode()
        if call.body.get("stream"):
            return await self._stream(request, call, raw, seen)
        reply = await self.upstream.chat(raw, request.headers)
        return await self._answer(call, await seen(), reply)

    async def _answer(self, call: Call, seen: Seen, reply: Reply) -> Response:
        answer = await reply_json(reply)
        if reply.status != 200:
            return passed_error(reply, answer)
        choices = answer.get("choices")
        if not isinstance(choices, list) or not all(isinstance(c, dict) for c in choices):
            raise upstream_problem("the upstream's answer has no list of choices")
        outcomes = await self.guard.outcomes(call.protector, seen.query, choices, call.origin, seen.not_run)
        headers = {**reply.headers, **told_headers(call.protector.policy, call.origin, seen, outcomes)}
        if all(outcome.untouched for outcome in outcomes):
            return Response(reply.body, 200, headers)
        if self.settings.strict and any(o.action is Action.REFUSE for o in outcomes):
            raise RequestError(
                400, "content_filter", "the answer was held back by the policy", headers=headers
            )
        new = {**answer, "choices": [rewrite_choice(c, o) for c, o in zip(choices, outcomes, strict=True)]}
        headers.pop("content-type", None)
        return Json(new, 200, headers)

    async def _stream(
        self, request: Request, call: Call, raw: bytes, seen: Callable[[], Awaitable[Seen]]
    ) -> Response:
        opened = self.upstream.open_chat(raw, request.headers)
        response = await opened.__aenter__()
        try:
            found = await seen()
        except BaseException:
            await opened.__aexit__(None, None, None)
            raise
        kind = response.headers.get("content-type", "")
        if response.status_code != 200 or not kind.startswith("text/event-stream"):
            try:  # an error, or an upstream that does not stream: its answer is judged whole
                reply = await self.upstream.read_error(response)
            finally:
                await opened.__aexit__(None, None, None)
            return await self._answer(call, found, reply)
        stream = GuardedStream(
            self.guard, call.protector, found.query, response, self.settings, call.origin, found.not_run
        )

        async def body() -> AsyncIterator[bytes]:
            self._streams.add(stream)
            try:
                async for part in stream.events():
                    yield part
            except (asyncio.CancelledError, GeneratorExit):
                self.metrics.disconnects.inc()
                raise
            finally:
                call.slot.leave()
                self._streams.discard(stream)
                # In a task of its own: this one may be cancelled already, and the model must be told to stop.
                self._closing.add(closing := asyncio.ensure_future(_finish(stream, opened)))
                closing.add_done_callback(self._closing.discard)

        headers = told_headers(call.protector.policy, call.origin, found)
        headers |= {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return StreamingResponse(body(), 200, headers, media_type="text/event-stream")

    async def models(self, request: Request) -> Response:
        """Pass the upstream's list through."""
        self.clients.find(request.headers)
        reply = await self.upstream.models(request.headers)
        if reply.status != 200:
            return passed_error(reply, await reply_json(reply))
        return Response(reply.body, 200, dict(reply.headers))

    # -- around every request -----------------------------------------------------------------------

    def route(self, path: str, handler: Handler) -> Route:
        """A POST route whose body is JSON: key, slot, policy, limits, and errors of one shape."""

        async def serve(request: Request) -> Response:
            loop = asyncio.get_running_loop()
            began, status = loop.time(), 500
            try:
                slot = self.clients.enter(client := self.clients.find(request.headers), began)
                try:
                    raw = await request_body(request, self.settings.limits)
                    body = await request_json(raw)
                    wanted: list[str | None] = [*requested_policies(request.headers, body)]
                    found = [self.policies.choose(name, client.policies) for name in wanted or [None]]
                    origin = Origin(uuid.uuid4().hex, path, client.name)
                    call = Call(origin, found[0], body, raw, slot)
                    response = await handler(self, request, call)
                    status = response.status_code
                except BaseException:
                    slot.leave()
                    raise
                if not isinstance(response, StreamingResponse):
                    slot.leave()
                return response
            except RequestError as problem:
                status = problem.status
                raise
            except RecursionError as error:
                status = 400
                raise RequestError(
                    400, "nested_too_deep", "the request or its answer nests too deep"
                ) from error
            finally:
                self.metrics.requests.labels(path, str(status)).inc()
                self.metrics.seconds.labels(path).observe(loop.time() - began)

        return Route(path, serve, methods=["POST"])


def create_app(
    protector: Protector,
    settings: GatewaySettings | None = None,
    *,
    source: str | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    fetcher: Fetcher | None = None,
) -> Starlette:
    """Return the gateway as an ASGI application.

    Args:
        protector: the guard; its policy is the default.
        settings: the ``gateway`` section of a configuration.
        source: name or file of the default policy, re-read when the file changes; None never re-reads it.
        transport: how the upstream is reached; for tests.
        fetcher: how remote images are reached; for tests.
    """
    gateway = Gateway(protector, settings or GatewaySettings(), source, transport, fetcher)

    async def healthy(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        fit = gateway.ready and gateway.batcher.healthy
        told = {
            "status": "ready" if fit else "not ready",
            "policies": gateway.policies.names(),
            "broken_policies": sorted(gateway.policies.broken),
        }
        return JSONResponse(told, 200 if fit else 503)

    async def metrics(_: Request) -> Response:
        return Response(gateway.metrics.render(), media_type="text/plain; version=0.0.4")

    async def models(request: Request) -> Response:
        return await gateway.models(request)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document(gateway.settings, gateway.policies.names()))

    app = Starlette(
        routes=[
            gateway.route("/v1/chat/completions", Gateway.chat),
            Route("/v1/models", models),
            gateway.route("/v1/moderations", judging.moderations),
            gateway.route("/v1/protect", judging.protect),
            gateway.route("/beta/litellm_basic_guardrail_api", judging.litellm),
            gateway.route("/api/v1/text/contents", judging.contents),
            Route("/healthz", healthy),
            Route("/readyz", ready),
            Route("/metrics", metrics),
            Route("/openapi.json", openapi),
        ],
        exception_handlers=HANDLERS,
        lifespan=gateway.life,
    )
    app.state.gateway = gateway
    return app


async def _finish(stream: GuardedStream, opened: AbstractAsyncContextManager[httpx.Response]) -> None:
    """Stop reading, then close: the other way round the connection would stay open, and the model busy."""
    await stream.close()
    await opened.__aexit__(None, None, None)
