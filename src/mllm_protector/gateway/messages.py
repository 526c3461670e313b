"""Bodies in and out: what is no JSON object is told so, an upstream's error is passed on, headers are set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mllm_protector.gateway.answer import Outcome
from mllm_protector.gateway.guard import Origin
from mllm_protector.gateway.media import Seen
from mllm_protector.gateway.problems import RequestError, upstream_problem
from mllm_protector.gateway.settings import LimitSettings
from mllm_protector.gateway.upstream import Reply
from mllm_protector.policy import Policy

__all__ = ["Json", "passed_error", "reply_json", "request_body", "request_json", "told_headers"]

_JSON = ("application/json", "")
_LARGE = 200_000


class Json(JSONResponse):
    """JSON of whatever was said: half a character (a lone surrogate) is written as its escape."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        try:
            return super().render(content)
        except UnicodeEncodeError:
            return json.dumps(content, separators=(",", ":")).encode()


async def request_body(request: Request, limits: LimitSettings) -> bytes:
    """Return a request's body.

    Raises:
        RequestError: 415, 413 or 408; it is not plain JSON, too large, or too slow.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _JSON:
        raise RequestError(415, "unsupported_media_type", "send the body as application/json")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError(415, "unsupported_encoding", "send the body without content-encoding")
    most = int(limits.body_mb * 1_000_000)
    too_large = RequestError(413, "body_too_large", f"the body is over {limits.body_mb:g} MB")
    if int(request.headers.get("content-length") or 0) > most:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large
                parts.append(part)
    except TimeoutError as error:
        raise RequestError(
            408, "request_timeout", f"the body did not arrive within {limits.body_seconds:g} s"
        ) from error
    return b"".join(parts)


async def request_json(raw: bytes) -> dict[str, Any]:
    """Return the object that a request's body holds.

    Raises:
        RequestError: 400 or 422.
    """
    try:
        body = await _parsed(raw)
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
        answer = await _parsed(reply.body)
    except (ValueError, RecursionError) as error:
        raise upstream_problem(f"the upstream answered {reply.status} without JSON") from error
    if not isinstance(answer, dict):
        raise upstream_problem("the upstream's answer is no JSON object")
    return answer


async def _parsed(raw: bytes) -> Any:
    """Parse JSON; off the event loop where it is large, since a thread costs more than a small one."""
    return await asyncio.to_thread(json.loads, raw) if len(raw) > _LARGE else json.loads(raw)


def passed_error(reply: Reply, answer: Mapping[str, Any]) -> Response:
    """An upstream's error goes to the client, but nothing in it that could be an answer."""
    if reply.status < 400 or not answer.get("error") or "choices" in answer:
        raise upstream_problem(f"the upstream answered {reply.status}")
    return Json({"error": answer["error"]}, reply.status, _kept(reply.headers))


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
