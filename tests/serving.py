"""Real servers for tests: the gateway and a scripted upstream, each in uvicorn on a free port."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class Running:
    """An ASGI application served from a thread; a context manager."""

    def __init__(self, app: Any) -> None:
        config = uvicorn.Config(app, port=0, log_level="critical", lifespan="on", timeout_graceful_shutdown=3)
        self.app = app
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Running:
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            assert time.monotonic() < deadline and self._thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


class Upstream:
    """A model whose answers a test sets: ``texts`` per choice, streamed by word, or a handler."""

    def __init__(self) -> None:
        self.texts = ["Hello there."]
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.handler: Callable[[Request], Response] | None = None
        self.cancelled = threading.Event()
        self.sent = 0
        self.pause = 0.0
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/models", self.models),
            ]
        )

    async def models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "toy", "object": "model"}]})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        if self.handler is not None:
            return self.handler(request)
        if body.get("stream"):
            return StreamingResponse(self.stream(), media_type="text/event-stream")
        return JSONResponse(completion(self.texts))

    async def stream(self) -> AsyncIterator[bytes]:
        try:
            for index, text in enumerate(self.texts):
                for piece in pieces(text):
                    yield chunk({"content": piece}, index=index)
                    self.sent += 1
                    await asyncio.sleep(self.pause)
                yield chunk({}, "stop", index)
            yield b'data: {"choices":[],"usage":{"total_tokens":7},"x-vendor":1}\n\n'
            yield b"data: [DONE]\n\n"
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise


def completion(texts: Iterable[str]) -> dict[str, Any]:
    choices = [
        {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", "vendor": 1}
        for n, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": "toy"}
    return {**head, "choices": choices, "usage": usage, "x_vendor": {"a": 1}}


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "toy", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


def pieces(text: str) -> list[str]:
    return [word + " " for word in text.split(" ")[:-1]] + text.split(" ")[-1:]
