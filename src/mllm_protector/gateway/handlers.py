"""What a client is told when a request ends in an exception: always OpenAI's error shape."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from mllm_protector.gateway.problems import RequestError

__all__ = ["HANDLERS"]

_log = logging.getLogger("mllm_protector.gateway")


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return JSONResponse(error.body(), error.status, error.headers)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    return await _problem(_, RequestError(error.status_code, code, str(error.detail), headers=error.headers))


async def _gone(_: Request, error: Exception) -> Response:  # noqa: ARG001 (nobody is there to read it)
    return Response(status_code=499)


async def _bug(_: Request, error: Exception) -> Response:
    _log.error("a request failed: %s", type(error).__name__, exc_info=error)
    problem = RequestError(500, "internal_error", "the gateway failed; nothing was let out, see its log")
    return JSONResponse(problem.body(), 500)


HANDLERS: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    RequestError: _problem,
    HTTPException: _http,
    ClientDisconnect: _gone,
    Exception: _bug,
}
