"""Chat models under a limit of requests per minute, with an account of what they used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mllm_protector.interfaces import ChatModel
from mllm_protector.types import Query

__all__ = ["MeteredModel", "Pacer", "Spending"]

_CHARACTERS_PER_TOKEN = 4
"""Of English text, roughly; used only where a model does not count its tokens."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What was used.

    Attributes:
        requests: questions answered.
        prompt_tokens, completion_tokens: as the model counts them, or estimated from characters.
        cost: in the currency of the prices given to the model, 0 without prices.
        estimated: whether tokens were estimated.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
            self.estimated or other.estimated,
        )


class Pacer:
    """Lets requests pass no faster than allowed, evenly spaced. Safe to call from several threads.

    Args:
        requests_per_minute: the limit, of all models that share this pacer; None sets none.
        clock: seconds that only grow.
        sleep: waits.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._next = clock()
        self._lock = threading.Lock()

    def wait(self, requests: int) -> None:
        """Return when so many requests may start."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next)
            self._next = start + requests * self._gap
        if start > now:
            self._sleep(start - now)


class MeteredModel:
    """Passes queries on at the pacer's speed, and keeps the account. Safe to call from several threads.

    Args:
        model: the chat model; one with ``usage`` (see ``OpenAIChatModel``) is believed, another estimated.
        pacer: the limit.
    """

    def __init__(self, model: ChatModel, pacer: Pacer) -> None:
        self.model = model
        self._pacer = pacer
        self._lock = threading.Lock()
        self._estimate = Spending()

    @property
    def spending(self) -> Spending:
        """What was used so far."""
        usage = getattr(self.model, "usage", None)
        if usage is None or not usage.prompt_tokens + usage.completion_tokens:
            return self._estimate
        return Spending(usage.requests, usage.prompt_tokens, usage.completion_tokens, usage.cost)

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        """Return one response per query, in order; each counts as a request.

        Raises:
            BackendError: the model failed.
        """
        if not queries:
            return []
        self._pacer.wait(len(queries))
        texts = self.model.generate(queries)
        asked = sum(len(q.prompt) + sum(len(t.content) for t in q.history) for q in queries)
        used = Spending(len(queries), _tokens(asked), _tokens(sum(map(len, texts))), 0.0, estimated=True)
        with self._lock:
            self._estimate += used
        return texts

    def close(self) -> None:
        """Close the model's connections, if it has any."""
        close = getattr(self.model, "close", None)
        if close is not None:
            close()


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)
