"""What a request holds beside text: images are decoded for the reader, and what is not read says so. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mllm_protector.data.images import MAX_PIXELS, read_header
from mllm_protector.errors import InputError
from mllm_protector.types import Image

__all__ = ["Parts", "read_parts"]

_TEXT = frozenset({"text", "input_text", "output_text", "refusal", "reasoning", "thinking"})
_IMAGES = frozenset({"image_url", "input_image", "image"})


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a request that are no text.

    Attributes:
        images: those that can be given to an image reader.
        not_run: path, kind and reason of those that cannot, without a word of the part itself.
    """

    images: tuple[Image, ...] = ()
    not_run: tuple[str, ...] = ()


def read_parts(messages: Sequence[Any], *, readable: bool) -> Parts:
    """Return the parts of chat messages, tool results included.

    Args:
        messages: as in the request.
        readable: whether there is an image reader.
    """
    images: list[Image] = []
    not_run: list[str] = []
    for path, kind, part in _parts(messages):
        try:
            if kind not in _IMAGES:
                raise InputError("nothing here reads parts of this kind")
            if not readable:
                raise InputError("no image_reader is configured")
            images.append(_image(part))
        except InputError as error:
            not_run.append(f"{path} ({kind}): {error}")
    return Parts(tuple(images), tuple(not_run))


def _parts(messages: Sequence[Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for i, message in enumerate(messages):
        content = message.get("content") if isinstance(message, Mapping) else None
        for j, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, Mapping) and part.get("type") not in _TEXT:
                yield f"messages[{i}].content[{j}]", str(part.get("type"))[:40], part


def _image(part: Mapping[str, Any]) -> Image:
    reference = part.get("image_url", part.get("image"))
    url = reference.get("url") if isinstance(reference, Mapping) else reference
    if not isinstance(url, str) or url[:5].lower() != "data:":
        raise InputError("only data: URLs are read, remote ones are never fetched")
    head, comma, body = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise InputError("a data: URL must be base64")
    try:
        data = base64.b64decode(body.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InputError("the data is not valid base64") from error
    header = read_header(data)
    if header is None or header.width < 1 or header.height < 1:
        raise InputError("not a PNG, JPEG, GIF, WebP or BMP image")
    if header.width * header.height > MAX_PIXELS:
        raise InputError(f"over {MAX_PIXELS // 1_000_000} megapixels")
    return Image(data, header.media_type)
