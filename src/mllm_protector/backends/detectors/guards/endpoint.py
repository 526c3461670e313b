"""A guard behind an OpenAI-compatible endpoint that tells log probabilities (vLLM, SGLang, llama.cpp ...)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from mllm_protector.backends.detectors.guards.guard import Dialogue, Guard, Question
from mllm_protector.backends.detectors.guards.verdict import NextToken, harm_of, stripped
from mllm_protector.errors import BackendError
from mllm_protector.registry import make
from mllm_protector.types import Detection, Image

__all__ = ["ChatReader", "CompletionsCompleter"]

TOP = 20
"""Likeliest tokens asked for: the most that the common servers give."""

_A = TypeVar("_A")
_B = TypeVar("_B")
_NO_LOGPROBS = (
    "gives no log probabilities; start it so that it does (docs/detectors.md), or accept bare verdicts "
    "with allow_text: true"
)


class _Endpoint:
    """Requests side by side, through the chat model's client (retries, time-outs, keys)."""

    def __init__(self, path: str, model: str, url: str, options: Mapping[str, Any]) -> None:
        self._concurrency = int(options.get("concurrency", 8))
        given = {"model": model, "base_url": url, "path": path, **options}
        self._client: Any = make("chat_models", "openai", given)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def each(self, work: Callable[[_A], _B], items: Sequence[_A]) -> list[_B]:
        """Return ``work`` of every item, in order."""
        if len(items) < 2:
            return [work(item) for item in items]
        with ThreadPoolExecutor(min(self._concurrency, len(items))) as pool:
            return list(pool.map(work, items))

    def choice(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the first choice of the reply."""
        reply = self._client.request(body)
        try:
            found = reply["choices"][0]
            if isinstance(found, Mapping):
                return found
        except (KeyError, IndexError, TypeError):
            pass
        raise BackendError("the guard's endpoint answers without choices[0]; is it the base of an API?")


class CompletionsCompleter:
    """Continues raw texts by ``POST /completions``.

    Args:
        guard: the family.
        model: the model's name there.
        url: the endpoint, with its ``/v1``.
        options: of the OpenAI chat model: ``api_key_env``, ``timeout``, ``retries``, ``concurrency``, ...
    """

    def __init__(self, guard: Guard, model: str, url: str, **options: Any) -> None:
        self._guard = guard
        self._endpoint = _Endpoint("/completions", model, url, options)

    def next(self, inputs: Sequence[tuple[str, tuple[Image, ...]]]) -> list[NextToken]:
        """Return the likeliest next tokens of each text."""
        return self._endpoint.each(self._next, inputs)

    def write(self, inputs: Sequence[tuple[str, tuple[Image, ...]]]) -> list[str]:
        """Return what the model writes until the guard's lead."""
        return self._endpoint.each(self._write, inputs)

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    def _next(self, given: tuple[str, tuple[Image, ...]]) -> NextToken:
        choice = self._endpoint.choice({"prompt": given[0], "max_tokens": 1, "logprobs": TOP})
        steps = _steps(choice.get("logprobs"))
        if not steps:
            raise BackendError(f"{self._guard.name}: the endpoint {_NO_LOGPROBS.partition(', or')[0]}")
        return steps[0].found

    def _write(self, given: tuple[str, tuple[Image, ...]]) -> str:
        stop = self._guard.lead.strip()
        body = {"prompt": given[0], "max_tokens": self._guard.writes, "stop": [stop]}
        text = self._endpoint.choice(body).get("text")
        if not isinstance(text, str):
            raise BackendError(f"{self._guard.name}: the endpoint answers without choices[0].text")
        return text.partition(stop)[0].strip()


class ChatReader:
    """Reads the answer of ``POST /chat/completions``: the verdict's token with its alternatives, then labels.

    The server lays the dialogue out by the template that the model brings along.

    Args:
        guard: the family.
        model: the model's name there.
        url: the endpoint, with its ``/v1``.
        categories: read labels too.
        allow_text: take a bare verdict for 0 or 1 where the endpoint tells no log probabilities.
        options: as for ``CompletionsCompleter``.
    """

    def __init__(
        self, guard: Guard, model: str, url: str, *, categories: bool, allow_text: bool, **options: Any
    ) -> None:
        self._guard, self._allow_text = guard, allow_text
        self._labels = guard.labels if categories else None
        self._endpoint = _Endpoint("/chat/completions", model, url, options)

    def read(self, question: Question, dialogues: Sequence[Dialogue]) -> list[Detection]:
        """Return one detection per dialogue, in order.

        Raises:
            BackendError: no answer, an answer without log probabilities, or one that is no verdict.
        """
        return self._endpoint.each(lambda dialogue: self._read(question, dialogue), dialogues)

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    def _read(self, question: Question, dialogue: Dialogue) -> Detection:
        assert question.messages is not None  # the detector has seen to it
        messages: list[dict[str, Any]] = [dict(message) for message in question.messages(dialogue)]
        if self._guard.sees and dialogue.images:
            asked = next(m for m in reversed(messages) if m["role"] == "user")
            asked["content"] = [
                *map(_image_part, dialogue.images),
                {"type": "text", "text": asked["content"]},
            ]
        body: dict[str, Any] = {"messages": messages, "max_tokens": self._guard.answer + self._guard.writes}
        if question.settings:
            body["chat_template_kwargs"] = dict(question.settings)
        choice = self._endpoint.choice({**body, "logprobs": True, "top_logprobs": TOP})
        steps = _steps(choice.get("logprobs"))
        if not steps and not self._allow_text:
            raise BackendError(f"{self._guard.name}: the endpoint {_NO_LOGPROBS}")
        text = "".join(step.text for step in steps) if steps else _content(choice)
        harm = self._from_steps(steps) if steps else self._from_text(text)
        if harm is None:
            shown = " ".join(text.split())[:80]
            raise BackendError(f"{self._guard.name}: no verdict in the answer {shown!r}; is it this guard?")
        categories = dict.fromkeys(question.codes, harm)
        categories |= dict.fromkeys(self._named(text), harm)
        return Detection(harm, categories)

    def _from_steps(self, steps: Sequence[_Step]) -> float | None:
        """The harm at the first token with letters behind the lead."""
        lead, said = self._guard.lead.strip().lower(), ""
        for step in steps:
            if lead in said.lower() and stripped(step.text):
                return harm_of(step.found, self._guard.verdict)
            said += step.text
        return None

    def _from_text(self, text: str) -> float | None:
        words = re.escape(self._guard.lead.strip()) + r"\s*(" + "|".join(self._guard.verdict.words) + r")\b"
        found = re.search(words, text, re.IGNORECASE)
        if found is None:
            return None
        word, verdict = found[1].lower(), self._guard.verdict
        return {verdict.unsafe.lower(): 1.0, verdict.safe.lower(): 0.0}.get(word, verdict.weight)

    def _named(self, text: str) -> list[str]:
        """Native codes of the labels in an answer."""
        if self._labels is None:
            return []
        names = sorted(map(re.escape, self._labels.codes), key=len, reverse=True)
        found = re.findall(rf"(?<!\w){self._labels.prefix}({'|'.join(names)})(?!\w)", text)
        return [code for label in found for code in self._labels.codes[label]]


@dataclass(frozen=True, slots=True)
class _Step:
    """One token of an answer, and what could have stood in its place."""

    text: str
    found: NextToken


def _steps(logprobs: Any) -> list[_Step]:
    """Read log probabilities of either API; empty where there are none."""
    if not isinstance(logprobs, Mapping):
        return []
    try:
        if logprobs.get("content"):  # chat, and llama.cpp's completions
            return [
                _Step(
                    step["token"],
                    NextToken.of((top["token"], float(top["logprob"])) for top in step["top_logprobs"]),
                )
                for step in logprobs["content"]
            ]
        tokens, tops = logprobs.get("tokens") or [], logprobs.get("top_logprobs") or []
        return [
            _Step(token, NextToken.of((text, float(value)) for text, value in top.items()))
            for token, top in zip(tokens, tops, strict=False)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackendError("the guard's endpoint lays its log probabilities out in an unknown way") from error


def _content(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else None
    return text if isinstance(text, str) else ""


def _image_part(image: Image) -> dict[str, Any]:
    data = base64.b64encode(image.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}}
