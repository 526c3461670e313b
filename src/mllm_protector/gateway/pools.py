"""Connections to the upstream, in several small pools: httpx looks through a whole pool for every request,
which at a few hundred connections costs more than all the rest of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

__all__ = ["Pools"]

_POOLS = 32
_KEPT = 512
_IDLE = 3.0
"""Seconds that an idle connection is kept: less than the 5 of uvicorn, hence of vLLM, and of Node, so that no
request meets a server which is just closing; a request to a model is never sent twice."""


class Pools(httpx.AsyncBaseTransport):
    """Sends each request through the pool with the fewest answers under way, the first of equals.

    No cookies are kept: one client's session never reaches another's request.
    """

    def __init__(self) -> None:
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=_KEPT // _POOLS, keepalive_expiry=_IDLE
        )
        self._pools = [httpx.AsyncHTTPTransport(limits=limits, trust_env=False) for _ in range(_POOLS)]
        self._busy = [0] * _POOLS

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its place is free again once the response is closed."""
        place = self._busy.index(min(self._busy))
        self._busy[place] += 1
        try:
            response = await self._pools[place].handle_async_request(request)
        except BaseException:
            self._busy[place] -= 1
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Counted(response.stream, self._busy, place)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.aclose()


class _Counted(httpx.AsyncByteStream):
    """A body that gives its place back when it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, busy: list[int], place: int) -> None:
        self._stream, self._busy, self._place, self._open = stream, busy, place, True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._busy[self._place] -= 1
        await self._stream.aclose()
