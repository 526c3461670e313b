"""A guard behind HTTP, scripted: verdicts with log probabilities in the layouts of the common servers."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class GuardServer:
    """Answers ``/v1/completions`` and ``/v1/chat/completions``; how sure it is depends on the whole input.

    Attributes:
        verdict: the word it leans to, and the other one.
        answer: tokens before the verdict in a chat answer, and after it.
        labels: tokens it may say where a label is asked for.
        silent: gives no log probabilities.
        missing: the other word is not among the likeliest tokens.
        llama_cpp: completions in llama.cpp's layout instead of vLLM's.
        status: of every reply.
    """

    def __init__(self, verdict: tuple[str, str] = ("unsafe", "safe")) -> None:
        self.verdict = verdict
        self.answer: tuple[list[str], list[str]] = ([], [])
        self.labels = {"2": 0.7, "1": 0.2, "10": 0.1}
        self.silent = self.missing = self.llama_cpp = False
        self.status = 200
        self.bodies: list[dict[str, Any]] = []
        self.app = Starlette(
            routes=[
                Route("/v1/completions", self.completions, methods=["POST"]),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
            ]
        )

    async def completions(self, request: Request) -> Response:
        body = await self._read(request)
        prompt: str = body["prompt"]
        if "stop" in body:
            return self._reply({"text": "Harmful request: no\nResponse refusal: no\n"})
        top = self.labels if prompt.endswith(("\nO", "\nS")) else self._verdicts(prompt)
        logs = {token: math.log(p) for token, p in top.items()}
        token = max(logs, key=lambda text: logs[text])
        found: dict[str, Any] = {"tokens": [token], "token_logprobs": [logs[token]], "top_logprobs": [logs]}
        if self.llama_cpp:
            found = {"content": [_step(token, top)]}
        return self._reply({"text": token} | ({} if self.silent else {"logprobs": found}))

    async def chat(self, request: Request) -> Response:
        body = await self._read(request)
        before, after = self.answer
        top = self._verdicts(json.dumps(body["messages"]))
        steps = [_step(t, {t: 0.99}) for t in before]
        steps += [_step(max(top, key=lambda text: top[text]), top)] + [_step(t, {t: 0.9}) for t in after]
        text = "".join(step["token"] for step in steps)
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}}
        if not self.silent:
            choice["logprobs"] = {"content": steps}
        return self._reply(choice)

    async def _read(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.bodies.append(body)
        return body

    def _reply(self, choice: dict[str, Any]) -> Response:
        if self.status != 200:
            return JSONResponse({"error": "not today"}, status_code=self.status)
        return JSONResponse({"choices": [{"index": 0, **choice}], "usage": {"prompt_tokens": 1}})

    def _verdicts(self, text: str) -> dict[str, float]:
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        likely = 0.6 + 0.3 * int.from_bytes(digest[:4], "big") / 2**32
        first, other = self.verdict
        rest = {} if self.missing else {other: 0.95 - likely}
        return {first: likely, **rest, "the": 0.03}


def _step(token: str, top: dict[str, float]) -> dict[str, Any]:
    listed = [{"token": text, "logprob": math.log(p)} for text, p in top.items()]
    return {"token": token, "logprob": math.log(top[token]), "top_logprobs": listed}
