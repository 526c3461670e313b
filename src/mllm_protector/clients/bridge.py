"""Runs the gateway inside a process, without a port: a client's requests become calls of its application.

The application lives on an event loop in a thread of its own; sync and async clients hand their requests
over and read the answer message by message, so that streams stay streams.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import httpx
from starlette.applications import Starlette

__all__ = ["AsyncBridgeTransport", "Bridge", "BridgeTransport"]

_STARTS_WITHIN = 120.0


class Bridge:
    """The application on its loop; started at once, stopped by ``close``.

    Args:
        app: the gateway.
        base_path: path of the client's base URL, in whose place the application knows ``/v1``.
    """

    def __init__(self, app: Starlette, base_path: str) -> None:
        self._app, self._base = app, base_path.rstrip("/")
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mllm-protector", daemon=True)
        self._thread.start()
        failure = self._started.get(timeout=_STARTS_WITHIN)
        if failure is not None:
            raise failure

    def close(self) -> None:
        """End what runs and stop the thread; a second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)

    def ask(self, request: httpx.Request, body: bytes) -> _Answer:
        """Hand a request over; its answer is read from what is returned."""
        path = request.url.path
        if path.startswith(f"{self._base}/"):
            path = f"/v1{path[len(self._base) :]}"
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": request.method, "scheme": "http", "path": path, "raw_path": path.encode(),
            "root_path": "", "query_string": request.url.query, "server": ("in-process", 80),
            "client": ("in-process", 0), "headers": [(k.lower(), v) for k, v in request.headers.raw],
        }  # fmt: skip
        return _Answer(self._loop, self._app, scope, body)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._loop.close()

    async def _live(self) -> None:
        try:
            async with self._app.router.lifespan_context(self._app):
                self._started.put(None)
                await self._stop.wait()
                tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
                for task in (t for t in tasks if t.get_name() == "answer"):
                    task.cancel()
        except BaseException as error:  # noqa: BLE001 (whoever starts us is told)
            self._started.put(error)


class _Answer:
    """One answer: its messages come over a queue; None is the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: Starlette, scope: Any, body: bytes) -> None:
        self._loop, self._app, self._scope, self._body = loop, app, scope, body
        self.messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._gone = asyncio.Event()
        loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._serve(), name="answer")

    async def _serve(self) -> None:
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": self._body, "more_body": False}
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.messages.put(message)

        try:
            with suppress(Exception):  # the application answered 500 and logged it
                await self._app(self._scope, receive, send)
        finally:
            self.messages.put(None)

    def leave(self) -> None:
        """Say that nobody reads on, so that the model is told to stop."""
        with suppress(RuntimeError):  # the loop is closed: it has stopped
            self._loop.call_soon_threadsafe(self._gone.set)


def _head(message: Any) -> tuple[int, list[tuple[bytes, bytes]]]:
    if message is None:
        raise httpx.ReadError("the guard ended without an answer")
    return message["status"], message["headers"]


class _Stream(httpx.SyncByteStream):
    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        while (message := self._answer.messages.get()) is not None:
            yield message.get("body", b"")

    def close(self) -> None:
        self._answer.leave()


class BridgeTransport(httpx.BaseTransport):
    """For sync clients."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request through the guard."""
        answer = self._bridge.ask(request, request.read())
        status, headers = _head(answer.messages.get())
        return httpx.Response(status, headers=headers, stream=_Stream(answer))

    def close(self) -> None:
        """Stop the guard."""
        self._bridge.close()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await asyncio.to_thread(self._answer.messages.get)) is not None:
            yield message.get("body", b"")

    async def aclose(self) -> None:
        self._answer.leave()


class AsyncBridgeTransport(httpx.AsyncBaseTransport):
    """For async clients."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request through the guard."""
        answer = self._bridge.ask(request, await request.aread())
        try:
            status, headers = _head(await asyncio.to_thread(answer.messages.get))
        except asyncio.CancelledError:
            answer.leave()
            raise
        return httpx.Response(status, headers=headers, stream=_AsyncStream(answer))

    async def aclose(self) -> None:
        """Stop the guard."""
        await asyncio.to_thread(self._bridge.close)
