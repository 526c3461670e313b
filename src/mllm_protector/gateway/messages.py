"""Bodies in and out: what is no JSON object is told so, an upstream's error is passed on, headers are set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from mllm_protector.gateway.answer import Outcome
from mllm_protector.gateway.guard import Origin
from mllm_protector.gateway.media import Seen
from mllm_protector.gateway.problems import RequestError, upstream_problem
from mllm_protector.gateway.upstream import Reply
from mllm_protector.policy import Policy

__all__ = ["passed_error", "reply_json", "request_json", "told_headers"]

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


def told_headers(
    policy: Policy, origin: Origin, seen: Seen, outcomes: Sequence[Outcome] = ()
) -> dict[str, str]:
    """Return what an answer's headers say of it; those of a stream leave before there is an outcome."""
    told = {"x-protector-policy": policy.name, "x-protector-request-id": origin.request_id}
    if outcomes:
        told["x-protector-action"] = max(outcomes, key=lambda o: o.action.severity).action.value
    harms = [o.harm for o in outcomes if o.harm is not None]
    if harms:
        told["x-protector-harm"] = f"{max(harms):.4f}"
    asked = len(seen.not_run)
    if not_run := asked + sum(len(o.not_run) - asked for o in outcomes):
        told["x-protector-not-run"] = str(not_run)
    if planted := policy.planted(seen.query):
        told["x-protector-third-party-instruction"] = str(len(planted))
    return told


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-type"}
