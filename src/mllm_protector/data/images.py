"""Images from a path or a data URI, accepted on their first bytes alone.

The pixels are never decoded here: the format and the size are read from the header, so that a
decompression bomb (a small file that unfolds into gigabytes) is turned away before anything opens
it. Formats: PNG, JPEG, GIF, WebP and BMP.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from mllm_protector.data.references import MAX_BYTES, Kind, read_reference
from mllm_protector.errors import ImageError
from mllm_protector.types import Image

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ImageHeader", "image_of", "load_image", "read_header"]

MAX_PIXELS = 50_000_000
"""Largest width x height accepted."""

_FORMATS = "PNG, JPEG, GIF, WebP or BMP"
_KIND = Kind("image", _FORMATS, "image/png", "scale it down first", ImageError)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the first bytes of an image say.

    Attributes:
        media_type: MIME type, from the bytes and not from the name.
        width: in pixels.
        height: in pixels.
    """

    media_type: str
    width: int
    height: int


def load_image(reference: str, *, base: Path = Path()) -> Image:
    """Read an image.

    Args:
        reference: a path (a relative one is taken from ``base``) or a ``data:`` URI in base64.
        base: the folder that relative paths start from; the working folder if not given.

    Raises:
        ImageError: it is missing, unreadable, not an image, or too large to open safely.
    """
    data = read_reference(reference, _KIND, base)
    return image_of(data, _KIND.name(reference))


def image_of(data: bytes, name: str) -> Image:
    """Return the image that ``data`` holds, its type taken from its first bytes.

    Args:
        data: an encoded file.
        name: how messages call it.

    Raises:
        ImageError: it is not an image, or too large to open safely.
    """
    header = read_header(data)
    if header is None:
        raise ImageError(f"{name} is not an image that can be read; give a {_FORMATS} file")
    if header.width < 1 or header.height < 1:
        raise ImageError(f"{name} has no pixels ({header.width} x {header.height}); the file is damaged")
    if header.width * header.height > MAX_PIXELS:
        raise ImageError(
            f"{name} unfolds into {header.width} x {header.height} pixels, over the limit of "
            f"{MAX_PIXELS // 1_000_000} megapixels; scale it down first"
        )
    return Image(data=data, media_type=header.media_type)


def read_header(data: bytes) -> ImageHeader | None:
    """Return format and size of an encoded image; None if it is none of the known formats."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return ImageHeader("image/png", *_png_size(data))
        if data.startswith(b"\xff\xd8\xff"):
            return ImageHeader("image/jpeg", *_jpeg_size(data))
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return ImageHeader("image/gif", *struct.unpack_from("<HH", data, 6))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return ImageHeader("image/webp", *_webp_size(data))
        if data[:2] == b"BM":
            return ImageHeader("image/bmp", *_bmp_size(data))
    except (struct.error, ValueError, IndexError):
        return None  # cut off, or only dressed as an image
    return None


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("the first chunk is not IHDR")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the marker segments up to the frame header (ITU-T T.81, B.1 and B.2.2)."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("a marker was expected")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            if length < 2:
                raise ValueError("a segment cannot be shorter than its length field")
            at += 2 + length


def _webp_size(data: bytes) -> tuple[int, int]:
    """Size from the first chunk: lossy VP8, lossless VP8L or extended VP8X (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise ValueError("no VP8 key frame")
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        if data[20] != 0x2F:
            raise ValueError("no VP8L signature")
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        return width, height
    raise ValueError("unknown WebP chunk")


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    if header not in (12, 16, 40, 52, 56, 64, 108, 124):
        raise ValueError("unknown BMP header")
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height means top row first
