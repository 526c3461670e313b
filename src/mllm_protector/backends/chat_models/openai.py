"""A chat model behind any endpoint that speaks OpenAI's chat completions (vLLM, SGLang, Ollama, an API)."""

from __future__ import annotations

import base64
import math
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from mllm_protector.errors import BackendError, ConfigError
from mllm_protector.types import Query

__all__ = ["OpenAIChatModel", "Usage", "messages_of"]

_AGAIN = frozenset((408, 409, 425, 429, 500, 502, 503, 504))
_LONGEST_WAIT = 60.0
_LARGEST = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used so far.

    Attributes:
        requests: answered requests.
        prompt_tokens, completion_tokens: as the endpoint counted them; 0 where it does not.
        cost: by the prices given, in their currency.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class OpenAIChatModel:
    """Asks ``POST {base_url}/chat/completions``. Safe to call from several threads.

    Args:
        model: the model's name there.
        base_url: the endpoint, with its ``/v1``; None takes ``OPENAI_BASE_URL``.
        api_key_env: the environment variable that holds the key; no key is sent if it is not set.
        system: a system prompt before every query, "" for none.
        max_tokens: of an answer.
        temperature: of the sampling; None leaves it to the endpoint.
        seed: sent along where the endpoint supports it; None sends none.
        timeout: seconds that the endpoint may be silent.
        retries: further tries after an outage, a time-out, 429 or 5xx; ``Retry-After`` is honoured.
        concurrency: requests under way at once in one ``generate``.
        prices: currency units per million (prompt, completion) tokens.
        extra: further keys of the request body.
        path: below ``base_url``, for ``request``: ``/completions`` takes raw prompts.
        sleep: waits between tries.
        clock: seconds that only grow.

    Raises:
        ConfigError: there is no endpoint, or an argument is out of its range.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        system: str = "",
        max_tokens: int = 512,
        temperature: float | None = 0.0,
        seed: int | None = None,
        timeout: float = 120.0,
        retries: int = 4,
        concurrency: int = 8,
        prices: tuple[float, float] = (0.0, 0.0),
        extra: Mapping[str, Any] | None = None,
        path: str = "/chat/completions",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        url = base_url or os.environ.get("OPENAI_BASE_URL", "")
        if not url.startswith(("http://", "https://")):
            raise ConfigError(
                f"openai: base_url {url!r} is no address; give one such as http://localhost:8000/v1"
            )
        if concurrency < 1 or retries < 0 or max_tokens < 1:
            raise ConfigError("openai: concurrency and max_tokens are at least 1, retries at least 0")
        self._url = url.rstrip("/") + path
        self._key_env, self._key = api_key_env, os.environ.get(api_key_env, "")
        self._system, self._retries, self._concurrency = system, retries, concurrency
        self._prices, self._sleep, self._clock, self._timeout = prices, sleep, clock, timeout
        chosen = {"model": model, "max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        self._body = {k: v for k, v in chosen.items() if v is not None} | dict(extra or {})
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx.Limits(max_connections=max(64, concurrency))
        self._client = httpx.Client(timeout=timeout, headers=headers, limits=limits, follow_redirects=False)
        self._lock = threading.Lock()
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        """What was used so far."""
        return self._usage

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        """Return one response per query, in order.

        Raises:
            BackendError: a query got no answer; the message says why, and never holds the key.
        """
        return self.generate_within(queries, None)

    def generate_within(self, queries: Sequence[Query], seconds: float | None) -> list[str]:
        """``generate`` in at most about ``seconds`` for all of them, retries and waits included.

        Raises:
            BackendError: as for ``generate``, or the time was up.
        """
        ends = math.inf if seconds is None else self._clock() + seconds
        if len(queries) <= 1:
            return [self._ask(query, ends) for query in queries]
        with ThreadPoolExecutor(min(self._concurrency, len(queries))) as pool:
            return list(pool.map(lambda query: self._ask(query, ends), queries))

    def complete(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return the answer to messages as the endpoint takes them.

        Raises:
            BackendError: as for ``generate``.
        """
        return self._answer(self._post({**self._body, "messages": list(messages)}, math.inf))

    def request(self, body: Mapping[str, Any]) -> Any:
        """Return the endpoint's whole reply to ``body``, which goes along with the model's settings.

        Raises:
            BackendError: as for ``generate``.
        """
        reply = self._post({**self._body, **body}, math.inf)
        self._count(reply.get("usage") if isinstance(reply, Mapping) else None)
        return reply

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, query: Query, ends: float) -> str:
        messages = messages_of(query, self._system)
        return self._answer(self._post({**self._body, "messages": messages}, ends))

    def _post(self, body: Mapping[str, Any], ends: float) -> Any:
        fault = ""
        for attempt in range(self._retries + 1):
            wait = min(_LONGEST_WAIT, 0.5 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
            left = ends - self._clock()
            if left <= 0:
                raise BackendError(f"{self._url}: the time for it is up{fault and f' ({fault})'}")
            try:
                timeout = min(self._timeout, left)
                with self._client.stream("POST", self._url, json=body, timeout=timeout) as response:
                    content = self._read(response, ends)
                if response.status_code == 200:
                    return self._parse(content)
                fault = self._fault(response.status_code, content)
                if response.status_code not in _AGAIN:
                    raise BackendError(fault)
                wait = max(wait, _retry_after(response.headers.get("retry-after", "")))
            except httpx.InvalidURL as error:
                raise BackendError(f"{self._url} is no address: {error}") from error
            except httpx.HTTPError as error:
                fault = f"{self._url}: {_words(str(error)) or type(error).__name__}"
            if attempt < self._retries:
                self._sleep(min(wait, max(0.0, ends - self._clock())))
        raise BackendError(f"{fault} (tried {self._retries + 1} times)")

    def _read(self, response: httpx.Response, ends: float) -> bytes:
        parts, size = [], 0
        for part in response.iter_bytes():
            size += len(part)
            if size > _LARGEST:
                raise BackendError(f"{self._url} answers more than {_LARGEST // 2**20} MiB")
            if self._clock() > ends:
                raise BackendError(f"{self._url}: the time for it is up, and it is still answering")
            parts.append(part)
        return b"".join(parts)

    def _parse(self, content: bytes) -> Any:
        try:
            return httpx.Response(200, content=content).json()
        except (ValueError, RecursionError) as error:
            shown = self._clean(content)
            raise BackendError(
                f"{self._url} answers no JSON ({shown!r}); is it the base of an API?"
            ) from error

    def _answer(self, reply: Any) -> str:
        """Return the text of a completion; a refusal is an answer, a call of tools is none."""
        try:
            message = reply["choices"][0]["message"]
            text = message.get("content")
            if isinstance(text, list):
                text = "".join(part.get("text") or "" for part in text)
            text = message.get("refusal") or "" if text is None else text
            if not isinstance(text, str):
                raise TypeError
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise BackendError(f"{self._url} answers without choices[0].message.content") from error
        self._count(reply.get("usage"))
        return text

    def _count(self, usage: Any) -> None:
        counts = usage if isinstance(usage, Mapping) else {}
        asked, written = (_whole(counts.get(key)) for key in ("prompt_tokens", "completion_tokens"))
        cost = (asked * self._prices[0] + written * self._prices[1]) / 1e6
        with self._lock:
            u = self._usage
            self._usage = Usage(
                u.requests + 1, u.prompt_tokens + asked, u.completion_tokens + written, u.cost + cost
            )

    def _fault(self, status: int, content: bytes) -> str:
        if status in (401, 403):
            state = "is set, but refused" if self._key else "is not set"
            return f"{self._url} wants a key ({status}): {self._key_env} {state}"
        if status == 404:
            return f"{self._url} is not there, or has no model {self._body['model']!r} (404)"
        return f"{self._url} answers {status}: {self._clean(content)}"

    def _clean(self, content: bytes) -> str:
        words = _words(content[:2000].decode("utf-8", "replace"))
        return words.replace(self._key, "[key]") if self._key else words


def messages_of(query: Query, system: str = "") -> list[dict[str, Any]]:
    """Return the query as OpenAI messages; images go along as data URLs, before the text."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    messages += [{"role": turn.role, "content": turn.content} for turn in query.history]
    if not query.images:
        return [*messages, {"role": "user", "content": query.prompt}]
    parts: list[dict[str, Any]] = []
    for image in query.images:
        data = base64.b64encode(image.data).decode()
        parts.append({"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}})
    if query.prompt:
        parts.append({"type": "text", "text": query.prompt})
    return [*messages, {"role": "user", "content": parts}]


def _retry_after(value: str) -> float:
    """Seconds; a date (the other form that HTTP allows) counts as none."""
    try:
        return min(_LONGEST_WAIT, max(0.0, float(value)))
    except ValueError:
        return 0.0


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _words(text: str) -> str:
    return " ".join(text.split())[:200]
