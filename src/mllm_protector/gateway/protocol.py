"""uvicorn's HTTP protocol, with what it leaves out: a time limit for the head of a request, and a word
to the application when the server is told to stop (its lifespan ends only when all answers have)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mllm_protector.gateway.problems import STOPPING

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as Base
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Base
    except ImportError:  # the faster parser is optional
        from uvicorn.protocols.http.h11_impl import H11Protocol as Base

__all__ = ["Protocol"]


class Protocol(Base):
    """Closes a connection that has no whole request head within uvicorn's ``timeout_keep_alive`` seconds.

    Without it a client that trickles its headers holds a connection for ever.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes: a request that is being served has had its head."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._head is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Tell the application that the server stops, then do as uvicorn does."""
        if STOPPING in self.app_state:
            self.app_state[STOPPING].set()
        super().shutdown()

    def _wait(self) -> None:
        self._head = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
