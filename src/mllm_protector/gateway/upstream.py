"""Talks to the protected model: pooled connections, time limits, and one retry only where it is safe."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from mllm_protector.gateway.pools import Pools
from mllm_protector.gateway.problems import RequestError, upstream_problem
from mllm_protector.gateway.settings import GatewaySettings

__all__ = ["Reply", "Upstream"]

# What a client's request may carry upstream: everything but what belongs to this one connection,
# and what speaks to us.
_HOP = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "trailers",
        "transfer-encoding", "upgrade", "host", "content-length", "accept-encoding", "content-encoding",
        "cookie", "expect",
    )
)  # fmt: skip
_KEYS = frozenset({"authorization", "api-key", "x-api-key"})
_BACK = ("content-type", "retry-after", "x-request-id", "openai-processing-ms", "openai-version")


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer of the upstream.

    Attributes:
        status: HTTP status.
        headers: those worth passing on.
        body: the bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Upstream:
    """The protected model's address.

    Args:
        settings: address, key and time limits.
        forward_keys: whether the client's authorization goes upstream; never where it is a key of ours.
        transport: for tests.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        forward_keys: bool,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base = settings.base_url()
        self._key = os.environ[settings.upstream_key_env] if settings.upstream_key_env else None
        self._forward_keys = forward_keys and self._key is None
        # A character is at most four bytes, and JSON may write it as \\uXXXX\\uXXXX.
        self._most = settings.limits.answer_chars * 12 + 1_000_000
        times = settings.timeouts
        timeout = httpx.Timeout(times.read, connect=times.connect, pool=times.connect)
        self._extensions = {"timeout": timeout.as_dict()}
        self._transport = (
            transport or Pools()
        )  # no httpx client: it would keep cookies and follow rules of its own

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def models(self, headers: Mapping[str, str]) -> Reply:
        """``GET /models``; tried twice, since asking again changes nothing."""
        for attempt in (1, 2):
            try:
                async with self._send("GET", "/models", headers, None) as response:
                    return await self._read(response)
            except RequestError:
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def chat(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """``POST /chat/completions``, the whole answer.

        Raises:
            RequestError: 502 or 504; the upstream cannot be reached, breaks off, stalls, or sends too much.
        """
        async with self.open_chat(body, headers) as response:
            return await self._read(response)

    @asynccontextmanager
    async def open_chat(self, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """``POST /chat/completions``, to be read as it comes; leaving the block cancels it."""
        async with self._send("POST", "/chat/completions", headers, body) as response:
            yield response

    async def read_error(self, response: httpx.Response) -> Reply:
        """Read what an opened answer holds, up to the limit."""
        return await self._read(response)

    @asynccontextmanager
    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[httpx.Response]:
        request = httpx.Request(
            method, self._base + path, headers=_encoded(self._headers(headers)), content=body,
            extensions=self._extensions,
        )  # fmt: skip
        try:
            try:
                response = await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Nothing was sent, so a second try cannot make the model answer twice.
                response = await self._transport.handle_async_request(request)
            response.request = request
            try:
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise _mapped(error) from error

    async def _read(self, response: httpx.Response) -> Reply:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > self._most:
                raise upstream_problem(
                    f"the upstream's answer is over {self._most >> 20} MB; raise limits.answer_chars"
                )
            parts.append(part)
        headers = {name: response.headers[name] for name in _BACK if name in response.headers}
        return Reply(response.status_code, headers, b"".join(parts))

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in headers.items()
            if name not in _HOP
            and not name.startswith("x-protector-")
            and (self._forward_keys or name not in _KEYS)
        }
        if self._key is not None:
            kept["authorization"] = f"Bearer {self._key}"
        return kept


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """As they came: HTTP headers are Latin-1, and httpx would take ASCII only."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _mapped(error: httpx.HTTPError) -> RequestError:
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return upstream_problem("the upstream cannot be reached; is it running, and is its address right?")
    if isinstance(error, httpx.TimeoutException):
        return upstream_problem("the upstream stalled; raise timeouts.read if it is only slow", 504)
    return upstream_problem(f"the upstream broke off ({type(error).__name__})")
