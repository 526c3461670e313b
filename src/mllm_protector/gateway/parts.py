"""What a request holds beside text: found in any shape, decoded, and reported where it cannot be. Pure.

Shapes of parts differ by vendor and year: ``image_url`` as a string or an object, ``input_image``,
``input_audio``, ``file`` with ``file_data``, Anthropic's ``source``, lists of frames, parts without a type.
So a part is not matched against a list of shapes: whatever in it is a ``data:`` URL, a web address or base64
is looked at, and what it is, its first bytes say. A part in which nothing of that is found is reported.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mllm_protector.data.images import image_of, read_header
from mllm_protector.data.recordings import is_video, recording_of
from mllm_protector.errors import InputError
from mllm_protector.types import Image, Recording

__all__ = ["Able", "Medium", "Parts", "Remote", "media_parts", "part_text", "read_parts"]

_TEXT = frozenset({"text", "input_text", "output_text", "refusal", "reasoning", "thinking"})
_TEXT_KEYS = ("text", "refusal", "thinking")
_CALLS = frozenset({"tool_use", "tool_call", "function_call"})  # what the model itself asked for
# Keys under which no medium stands, whatever they say.
_WORDS = frozenset(
    {
        "type", "text", "refusal", "thinking", "detail", "format", "media_type", "mime_type", "mimeType",
        "name", "filename", "file_name", "title", "id", "index", "cache_control", "annotations", "citations",
        "role", "tool_use_id", "tool_call_id", "signature", "fps", "min_pixels", "max_pixels", "uuid",
        "is_error",
    }
)  # fmt: skip
_MEDIA_KEYS = ("image", "audio", "video", "file", "source", "media", "data")
_BY_ID = frozenset({"file_id", "image_id", "audio_id"})
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Able:
    """What can be read here.

    Attributes:
        images: whether there is an image reader.
        recordings: whether there is a transcriber.
        remote: whether images may be fetched from the web.
    """

    images: bool = False
    recordings: bool = False
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Remote:
    """An image that stands elsewhere."""

    url: str


@dataclass(frozen=True, slots=True)
class Medium:
    """One image, recording or address of an image.

    Attributes:
        where: path and kind of its part, such as ``messages[0].content[1] (image_url)``.
        content: what it is.
    """

    where: str
    content: Image | Recording | Remote


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a request that are no text.

    Attributes:
        media: those that can be read, in order.
        not_run: path, kind and reason of those that cannot, without a word of the part itself.
    """

    media: tuple[Medium, ...] = ()
    not_run: tuple[str, ...] = ()


def read_parts(messages: Sequence[Any], able: Able) -> Parts:
    """Return the parts of chat messages that are no text, tool results included.

    Args:
        messages: as in the request.
        able: what can be read; the rest is reported.
    """
    media: list[Medium] = []
    not_run: list[str] = []
    for path, part in media_parts(messages):
        kind = _kind(part)
        where = f"{path} ({kind})"
        found = list(_references(part, "", 0))
        if not found:
            not_run.append(f"{where}: nothing here reads parts of this kind")
        for key, value in found:
            try:
                content = _content(key, value, kind, able)
            except InputError as error:
                not_run.append(f"{where}: {error}")
                continue
            media.append(Medium(where, content))
            if isinstance(content, Recording) and (is_video(content) or "video" in kind):
                not_run.append(f"{where}: the pictures of a video are not looked at, only its sound is heard")
    return Parts(tuple(media), tuple(not_run))


def media_parts(messages: Sequence[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield path and part of all that is no text, or holds more than its text."""
    for place, message in enumerate(messages):
        if isinstance(message, Mapping):
            path = f"messages[{place}]"
            yield from _parts(message.get("content"), f"{path}.content")
            yield from _parts(message.get("images"), f"{path}.images")
            if isinstance(audio := message.get("audio"), Mapping):  # an earlier answer that was spoken
                yield f"{path}.audio", {"type": "audio", **audio}


def part_text(part: Mapping[str, Any], depth: int = 0) -> str:
    """Return the text of a part, "" if it has none; that of parts inside it included."""
    if part.get("type", "text") in _TEXT:
        return _own_text(part) or ""
    inner = part.get("content")
    if isinstance(inner, str):
        return inner
    parts = inner if isinstance(inner, list) and depth < _DEEPEST else ()
    texts = [part_text(p, depth + 1) for p in parts if isinstance(p, Mapping)]
    return "\n".join(text for text in texts if text)


def _parts(content: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for place, part in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(part, Mapping):
            continue
        here = f"{path}[{place}]"
        inner = part.get("content")
        nested = isinstance(inner, list) and here.count(".content[") <= _DEEPEST
        if nested:
            yield from _parts(inner, f"{here}.content")
        if nested or isinstance(inner, str):
            rest = {key: value for key, value in part.items() if key != "content"}
            if _hangs_on(rest):
                yield here, rest
        elif not _is_words(part) or _hangs_on(part):
            yield here, part


def _own_text(part: Mapping[str, Any]) -> str | None:
    """The text of a text part, None if what stands there is no text."""
    text = next((part[key] for key in _TEXT_KEYS if part.get(key) is not None), "")
    text = text.get("value") if isinstance(text, Mapping) else text
    return text if isinstance(text, str) else None


def _is_words(part: Mapping[str, Any]) -> bool:
    kind = part.get("type", "text" if any(key in part for key in _TEXT_KEYS) else None)
    if kind in _TEXT:
        return _own_text(part) is not None
    return kind in _CALLS


def _hangs_on(part: Mapping[str, Any]) -> bool:
    """True if a medium hangs on a part, whatever its type: an image hung onto a text is an image."""
    return any(
        value and key not in _WORDS and any(word in key for word in _MEDIA_KEYS)
        for key, value in part.items()
    )


def _kind(part: Mapping[str, Any]) -> str:
    named = part.get("type")
    if isinstance(named, str) and named not in _TEXT:
        return named[:40]
    return next((key[:40] for key in part if key not in _WORDS), "no type")


def _references(node: Any, key: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield (key, value) of every string that may hold a medium or point to one."""
    if isinstance(node, str):
        if node and (key not in _WORDS or node[:5].lower() == "data:"):
            yield key, node
    elif depth < _DEEPEST:
        if isinstance(node, Mapping):
            for name, value in node.items():
                yield from _references(value, str(name), depth + 1)
        elif isinstance(node, list):
            for value in node:
                yield from _references(value, key, depth + 1)


def _content(key: str, value: str, kind: str, able: Able) -> Image | Recording | Remote:
    """Return what a reference holds or points to.

    Raises:
        InputError: it cannot be read here.
    """
    if "://" in value[:32] and value[:5].lower() != "data:":
        if not able.remote or not ("image" in kind or "image" in key):
            raise InputError("only data: URLs are read, remote ones are not fetched")
        if not able.images:
            raise InputError("no image_reader is configured")
        return Remote(value)
    if key in _BY_ID:
        raise InputError("files named by id are kept by the upstream and cannot be read here")
    data = _decoded(value)
    if read_header(data) is not None:
        image = image_of(data, "the data")
        if not able.images:
            raise InputError("no image_reader is configured")
        return image
    if data[:5] == b"%PDF-":
        raise InputError("nothing here reads PDF files")
    recording = recording_of(data, "the data") if "image" not in kind else None
    if recording is None:
        raise InputError("not a PNG, JPEG, GIF, WebP or BMP image")
    if not able.recordings:
        raise InputError("no transcriber is configured")
    return recording


def _decoded(value: str) -> bytes:
    """Return the bytes of a ``data:`` URL or of bare base64."""
    if value[:5].lower() == "data:":
        head, comma, value = value.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise InputError("a data: URL must be base64")
    packed = "".join(value.split()).rstrip("=")
    try:
        return base64.b64decode((packed + "=" * (-len(packed) % 4)).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InputError("the data is not valid base64") from error
