"""Bodies in and out: what is no JSON object is told so, and an upstream's error is passed on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from mllm_protector.gateway.problems import RequestError, upstream_problem
from mllm_protector.gateway.upstream import Reply

__all__ = ["passed_error", "reply_json", "request_json"]

_LARGE = 200_000


async def request_json(raw: bytes) -> dict[str, Any]:
    """Return the object that a request's body holds; large ones are read off the event loop.

    Raises:
        RequestError: 400 or 422.
    """
    try:
        body = await asyncio.to_thread(json.loads, raw) if len(raw) > _LARGE else json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, "invalid_json", "the body is no JSON") from error
    if not isinstance(body, dict):
        raise RequestError(422, "invalid_request", "the body must be a JSON object")
    return body


async def reply_json(reply: Reply) -> Mapping[str, Any]:
    """Return the object that the upstream answered.

    Raises:
        RequestError: 502.
    """
    try:
        answer = await asyncio.to_thread(json.loads, reply.body)
    except (ValueError, RecursionError) as error:
        raise upstream_problem(f"the upstream answered {reply.status} without JSON") from error
    if not isinstance(answer, dict):
        raise upstream_problem("the upstream's answer is no JSON object")
    return answer


def passed_error(reply: Reply, answer: Mapping[str, Any]) -> Response:
    """An upstream's error goes to the client, but nothing in it that could be an answer."""
    if reply.status < 400 or not answer.get("error") or "choices" in answer:
        raise upstream_problem(f"the upstream answered {reply.status}")
    return JSONResponse({"error": answer["error"]}, reply.status, _kept(reply.headers))


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-type"}
