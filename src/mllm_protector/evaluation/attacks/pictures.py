"""Pictures read, encoded and found on disk; the only place that knows how Pillow fails."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from mllm_protector.data.images import load_image
from mllm_protector.errors import ImageError, InputError, MissingExtraError

try:
    import PIL.Image
    import PIL.ImageDraw
except ModuleNotFoundError as error:
    raise MissingExtraError("pictures need Pillow; pip install 'mllm-protector[images]'") from error

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SUFFIXES", "encode", "find_pictures", "open_picture", "scene"]

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"))
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP"}


def open_picture(path: Path) -> Image:
    """Return the picture as RGB; transparency becomes white.

    Raises:
        ImageError: it is missing, damaged, or too large to open safely.
    """
    data = load_image(str(path)).data
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
            picture = PIL.Image.open(io.BytesIO(data))
            if picture.mode in ("RGBA", "LA", "PA", "P"):
                layer = picture.convert("RGBA")
                ground = PIL.Image.new("RGBA", layer.size, "white")
                return PIL.Image.alpha_composite(ground, layer).convert("RGB")
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ImageError(f"image {str(path)!r} is damaged: {error}") from error


def encode(picture: Image, suffix: str = ".png", quality: int = 95) -> bytes:
    """Return the file of a picture; ``quality`` counts for JPEG and WebP."""
    buffer = io.BytesIO()
    options = {"quality": quality} if suffix in (".jpg", ".jpeg", ".webp") else {}
    picture.save(buffer, _FORMATS[suffix], **options)
    return buffer.getvalue()


def find_pictures(folder: Path) -> tuple[Path, ...]:
    """Return the pictures below a folder, in order of their names; a picture given stands for itself.

    Raises:
        InputError: there are none.
    """
    if folder.is_file() and folder.suffix.lower() in SUFFIXES:
        return (folder,)
    found = tuple(sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()))
    if not found:
        raise InputError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return found


def scene(seed: int, size: int = 512) -> Image:
    """Return a plain scene (sky, ground, sun, houses), a stand-in where no picture is given."""
    rng = Random(seed)  # noqa: S311 (no secret)
    picture = PIL.Image.new("RGB", (size, size))
    draw = PIL.ImageDraw.Draw(picture)
    horizon = int(size * rng.uniform(0.55, 0.75))
    colours = (((90, 190), (150, 220), (200, 255)), ((60, 150), (110, 180), (40, 100)))
    sky, ground = [tuple(rng.randint(*r) for r in c) for c in colours]
    for y in range(size):
        colour = tuple(min(255, c + 60 * y // horizon) for c in sky) if y < horizon else ground
        draw.line(((0, y), (size, y)), fill=colour)
    x, y, r = rng.randint(60, size - 60), rng.randint(50, horizon // 2), rng.randint(18, 40)
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(250, 220, 90))
    for _ in range(rng.randint(2, 4)):
        left, wide, high = rng.randint(0, size - 120), rng.randint(60, 120), rng.randint(50, 140)
        wall = tuple(rng.randint(110, 230) for _ in range(3))
        draw.rectangle((left, horizon - high, left + wide, horizon + 6), fill=wall)
        draw.polygon(
            (
                (left - 8, horizon - high),
                (left + wide + 8, horizon - high),
                (left + wide // 2, horizon - high - 45),
            ),
            fill=(130, 60, 50),
        )
        draw.rectangle((left + 12, horizon - high + 14, left + 30, horizon - high + 34), fill=(240, 240, 200))
    return picture
