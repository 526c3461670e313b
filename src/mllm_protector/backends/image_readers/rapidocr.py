"""Reads the text that stands in images with RapidOCR, whose models are inside its wheel: no download."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import rapidocr

from mllm_protector.backends.remembering import Remembered
from mllm_protector.errors import BackendError, ConfigError
from mllm_protector.types import Image

__all__ = ["RapidOcrReader"]


class RapidOcrReader:
    """About a second an image of 0.5 megapixels on two cores. Safe to call from several threads.

    Args:
        min_score: lines that are recognised with less confidence than this are left out, in [0, 1].
        longest_side: larger images are scaled down to this many pixels before they are read.
        cached: images whose text is remembered by the hash of their bytes, 0 for none.

    Raises:
        ConfigError: an argument is out of its range.
    """

    def __init__(self, *, min_score: float = 0.5, longest_side: int = 2000, cached: int = 1024) -> None:
        if not 0 <= min_score <= 1 or longest_side < 64 or cached < 0:
            raise ConfigError("rapidocr: min_score is in [0, 1], longest_side at least 64, cached at least 0")
        self._min_score, self._longest = min_score, longest_side
        self._engine: Any = rapidocr.RapidOCR(params={"Global.log_level": "critical"})
        self._known = Remembered(cached)

    def read(self, images: Sequence[Image], /) -> list[str]:
        """Return the text of each image, line by line from the top, "" where there is none, in order.

        Raises:
            BackendError: an image cannot be decoded.
        """
        return [self._known.of(image.data, self._read) for image in images]

    def _read(self, data: bytes) -> str:
        return self._recognise(self._pixels(data))

    def _pixels(self, data: bytes) -> Any:
        try:
            with PIL.Image.open(io.BytesIO(data)) as picture:
                flat = picture.convert("RGBA")
        except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
            raise BackendError(f"an image cannot be read: {error}") from error
        flat.thumbnail((self._longest, self._longest))
        # What is transparent is looked at on white, as most models do.
        ground = PIL.Image.new("RGBA", flat.size, "white")
        ground.alpha_composite(flat)
        return np.asarray(ground.convert("RGB"))[:, :, ::-1]  # blue first, as the engine expects

    def _recognise(self, pixels: Any) -> str:
        found = self._engine(pixels)
        if found.txts is None:
            return ""
        lines = zip(found.txts, found.scores, strict=True)
        return "\n".join(text for text, score in lines if score >= self._min_score and text.strip())
