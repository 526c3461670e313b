"""OpenAI's request shapes, read: what was asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mllm_protector.gateway.parts import media_parts, part_text
from mllm_protector.gateway.problems import RequestError
from mllm_protector.gateway.settings import LimitSettings
from mllm_protector.types import Query, Turn

__all__ = ["chat_query", "content_text", "requested_policies"]


def chat_query(body: Mapping[str, Any], limits: LimitSettings) -> Query:
    """Return what a chat-completions request asks: the last user message, and the turns before it.

    Raises:
        RequestError: 422 with the path of what is wrong, or of the limit that is passed.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages", "must be a list of at least one message")
    if len(messages) > limits.messages:
        raise _invalid("messages", f"holds {len(messages)} messages; at most {limits.messages} are taken")
    choices = body.get("n")
    if choices is not None and not _is_count(choices):
        raise _invalid("n", "must be a whole number from 1")
    if choices is not None and choices > limits.choices:
        raise _invalid("n", f"is {choices}; at most {limits.choices} choices are served")
    if not isinstance(body.get("stream"), bool | None):
        raise _invalid("stream", "must be true or false")
    turns = [_turn(message, f"messages[{place}]") for place, message in enumerate(messages)]
    images = sum(1 for _ in media_parts(messages))
    if images > limits.images:
        raise _invalid("messages", f"holds {images} images or other media; at most {limits.images} are taken")
    asked = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=len(turns) - 1)
    history = [turn for i, turn in enumerate(turns) if i != asked and turn.content]
    return Query(prompt=turns[asked].content, history=tuple(history))


def content_text(content: Any, path: str) -> str:
    """Return the text of a message's content: a string, null, or a list of parts.

    Raises:
        RequestError: 422; it is none of these.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _invalid(path, "must be a string, null or a list of parts")
    texts = []
    for place, part in enumerate(content):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            texts.append(part_text(part))
        else:
            raise _invalid(f"{path}[{place}]", "must be an object with a type")
    return "\n".join(text for text in texts if text)


def requested_policies(headers: Mapping[str, str], body: Mapping[str, Any]) -> list[str]:
    """Return the policies a request asks for: by its header, which counts, then by its key ``protector``.

    Raises:
        RequestError: 422; the body's key is malformed.
    """
    own = body.get("protector")
    if own is not None:
        if not isinstance(own, Mapping) or not set(own) <= {"policy"}:
            raise _invalid("protector", 'must be an object such as {"policy": "strict"}')
        if not isinstance(own.get("policy", ""), str):
            raise _invalid("protector.policy", "must be a string")
    asked = (headers.get("x-protector-policy"), (own or {}).get("policy"))
    return [name for name in asked if name is not None]


def _turn(message: Any, path: str) -> Turn:
    if not isinstance(message, Mapping):
        raise _invalid(path, "must be an object with role and content")
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise _invalid(f"{path}.role", "must be a string")
    return Turn(role, content_text(message.get("content"), f"{path}.content"))


def _is_count(value: Any) -> bool:
    """True for 3 and for 3.0, which is a whole number in JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 1 and value % 1 == 0


def _invalid(path: str, fault: str) -> RequestError:
    return RequestError(422, "invalid_request", f"{path} {fault}", param=path)
