"""Text as a picture: the typographic attack of MM-SafetyBench and FigStep.

Fonts are Pillow's own scalable one, or a file of the user's; equal styles and seeds give equal pixels
with the same Pillow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mllm_protector.errors import InputError
from mllm_protector.evaluation.attacks import pictures  # names the extra where Pillow lacks

import PIL.Image  # isort: skip
import PIL.ImageDraw  # isort: skip
import PIL.ImageFont  # isort: skip

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FIGSTEP", "MM_SAFETYBENCH", "Style", "draw_list", "draw_phrase", "stacked", "wrap"]

assert pictures


@dataclass(frozen=True, slots=True)
class Style:
    """How text is drawn.

    Attributes:
        width: of the picture, in pixels.
        height: of the picture; 0 makes it as high as the text needs.
        font_size: in pixels.
        font: a TrueType or OpenType file; None takes Pillow's own font.
        rotation: turn the text by up to so many degrees, drawn with the seed.
        noise: standard deviation of Gaussian noise, in grey levels of 255.
        ink: colour of the text, as Pillow names it.
        paper: colour of the ground.
        centred: lines in the middle; else from the left.
    """

    width: int = 1024
    height: int = 0
    font_size: int = 90
    font: Path | None = None
    rotation: float = 0.0
    noise: float = 0.0
    ink: str = "black"
    paper: str = "white"
    centred: bool = True

    def __post_init__(self) -> None:
        if not (16 <= self.width <= 4096 and 0 <= self.height <= 4096 and 4 <= self.font_size <= 512):
            raise InputError("a typographic picture is 16 to 4096 pixels wide, its font 4 to 512 pixels high")
        if not (0 <= self.rotation <= 180 and 0 <= self.noise <= 255):
            raise InputError("rotation must be 0 to 180 degrees, noise 0 to 255 grey levels")


MM_SAFETYBENCH = Style()
"""Black on white, centred, 1024 wide, font 90: Liu et al. 2024."""

FIGSTEP = Style(width=760, height=760, font_size=80, centred=False)
"""A list from the left on a white square: Gong et al. 2025."""


def draw_phrase(text: str, style: Style = MM_SAFETYBENCH, seed: int = 0) -> Image:
    """Return the phrase as a picture."""
    return _draw(text.split("\n"), style, seed)


def draw_list(heading: str, style: Style = FIGSTEP, seed: int = 0, items: int = 3) -> Image:
    """Return a heading over an empty numbered list; a font too large for the square is made smaller."""
    lines = [heading, *(f"{n}." for n in range(1, items + 1))]
    return _draw(lines, style, seed)


def wrap(text: str, font: Any, width: float) -> list[str]:
    """Return the text in lines no wider than ``width`` pixels; a word too wide is cut."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if font.getlength(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while font.getlength(word) > width and len(word) > 1:
            cut = max(
                1, next(n for n in range(len(word), 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
            )
            lines.append(word[:cut])
            word = word[cut:]
        line = word
    return [*lines, line] if line or not lines else lines


def stacked(above: Image, below: Image) -> Image:
    """Return two pictures one over the other, the upper one scaled to the lower one's width."""
    height = max(1, round(above.height * below.width / above.width))
    whole = PIL.Image.new("RGB", (below.width, height + below.height), "white")
    whole.paste(above.resize((below.width, height), PIL.Image.Resampling.BICUBIC), (0, 0))
    whole.paste(below, (0, height))
    return whole


def load_font(path: Path | None, size: int) -> Any:
    """Return the font.

    Raises:
        InputError: the file is no font.
    """
    try:
        return PIL.ImageFont.load_default(size) if path is None else PIL.ImageFont.truetype(str(path), size)
    except OSError as error:
        raise InputError(f"font {path} cannot be used: {error}; give a .ttf or .otf file") from error


def _draw(paragraphs: Sequence[str], style: Style, seed: int) -> Image:
    margin, size = style.width // 20, style.font_size
    while True:
        font = load_font(style.font, size)
        lines = [line for text in paragraphs for line in wrap(text, font, style.width - 2 * margin)]
        step = math.ceil(size * 1.25)
        needed = step * len(lines) + 2 * margin
        if not style.height or needed <= style.height or size <= 8:
            break
        size = max(8, size * 9 // 10)
    picture = _new((style.width, style.height or needed), style)
    draw = PIL.ImageDraw.Draw(picture)
    for place, line in enumerate(lines):
        x = (style.width - font.getlength(line)) / 2 if style.centred else margin
        draw.text((x, margin + place * step), line, font=font, fill=style.ink)
    return _spoiled(picture, style, seed)


def _new(size: tuple[int, int], style: Style) -> Image:
    try:
        return PIL.Image.new("RGB", size, style.paper)
    except ValueError as error:
        raise InputError(
            f"colour {style.paper!r} is unknown; write black, #202020 or rgb(32,32,32)"
        ) from error


def _spoiled(picture: Image, style: Style, seed: int) -> Image:
    rng = np.random.default_rng(seed)
    if style.rotation:
        angle = float(rng.uniform(-style.rotation, style.rotation))
        picture = picture.rotate(
            angle, PIL.Image.Resampling.BICUBIC, expand=not style.height, fillcolor=style.paper
        )
    if style.noise:
        pixels = np.asarray(picture, dtype=np.float32)
        noisy = pixels + rng.normal(0.0, style.noise, pixels.shape)
        picture = PIL.Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return picture
