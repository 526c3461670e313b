"""Who may ask, for which policies, and how much at once."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass

from mllm_protector.gateway.problems import RequestError
from mllm_protector.gateway.settings import GatewaySettings, KeySettings

__all__ = ["Client", "ClientBook", "Slot"]


@dataclass(slots=True)
class Client:
    """A caller.

    Attributes:
        name: from the configuration; ``anonymous`` where there are no keys.
        policies: what it may ask for; the first is its default.
        requests_per_minute: None is unlimited.
        concurrent: None is unlimited.
        running: requests being served now.
        tokens: requests it may make at once (token bucket).
        filled: when the bucket was last filled, in seconds.
    """

    name: str
    policies: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    concurrent: int | None = None
    running: int = 0
    tokens: float = 0.0
    filled: float = 0.0


class Slot:
    """A place among the requests that run; leave it when the answer is complete, twice does no harm."""

    def __init__(self, book: ClientBook, client: Client) -> None:
        self._book, self._client, self._held = book, client, True

    def leave(self) -> None:
        """Make room."""
        if self._held:
            self._held = False
            self._book.running -= 1
            self._client.running -= 1


class ClientBook:
    """Finds the client behind a request and keeps the counts; for one event loop.

    Args:
        settings: keys and limits; the keys are read from the environment here, once.
        policies: names that everybody may use where there are no keys.
    """

    def __init__(self, settings: GatewaySettings, policies: tuple[str, ...]) -> None:
        self._keys = [(os.environ[key.key_env].encode(), _client(key)) for key in settings.keys]
        self._anyone = Client("anonymous", policies)
        self._most = settings.limits.concurrent
        self.running = 0

    @property
    def open(self) -> bool:
        """True if there are no keys: everybody is served and their authorization goes upstream."""
        return not self._keys

    def find(self, headers: Mapping[str, str]) -> Client:
        """Return the client whose key the request carries (``Authorization: Bearer``, or ``[x-]api-key``).

        Raises:
            RequestError: 401.
        """
        if self.open:
            return self._anyone
        given = headers.get("authorization", "")
        named = headers.get("api-key") or headers.get("x-api-key", "")
        key = given[7:].strip() if given[:7].lower() == "bearer " else named
        found = None
        for known, client in self._keys:  # all of them, so that time tells nothing
            if hmac.compare_digest(known, key.encode()):
                found = client
        if found is None:
            raise RequestError(401, "invalid_api_key", "no valid key; send it as `Authorization: Bearer KEY`")
        return found

    def enter(self, client: Client, now: float) -> Slot:
        """Take a slot.

        Raises:
            RequestError: 429 with ``retry-after``.
        """
        if self.running >= self._most:
            raise _busy(f"{self._most} requests are being served, the most this gateway takes", 1)
        if client.concurrent is not None and client.running >= client.concurrent:
            raise _busy(f"this key has {client.concurrent} requests running, the most it may", 1)
        if client.requests_per_minute is not None:
            rate = client.requests_per_minute / 60
            grown = client.tokens + (now - client.filled) * rate
            client.tokens, client.filled = min(client.requests_per_minute, grown), now
            if client.tokens < 1:
                wait = (1 - client.tokens) / rate
                raise _busy(f"over {client.requests_per_minute} requests per minute", max(1, round(wait)))
            client.tokens -= 1
        self.running += 1
        client.running += 1
        return Slot(self, client)


def _client(key: KeySettings) -> Client:
    full = float(key.requests_per_minute or 0)
    return Client(key.name, key.policies, key.requests_per_minute, key.concurrent, tokens=full)


def _busy(why: str, seconds: int) -> RequestError:
    return RequestError(429, "rate_limited", f"{why}; retry later", headers={"retry-after": str(seconds)})
