"""Common corruptions in five strengths, after Hendrycks & Dietterich 2019 (arXiv 1903.12261).

Each works on pixels [height, width, 3] of 0 to 1 and is told its strength, 1 (mild) to 5. The strengths
follow ImageNet-C; motion blur, frost and the like, which need textures or ImageMagick, are left out.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mllm_protector.evaluation.attacks.pictures import encode

import PIL.Image  # isort: skip
import PIL.ImageFilter  # isort: skip

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["CORRUPTIONS", "STRENGTHS", "corrupt"]

STRENGTHS = (1, 2, 3, 4, 5)
Pixels = NDArray[np.floating[Any]]
_Corruption = Callable[[Pixels, int, np.random.Generator], Pixels]


def corrupt(picture: Image, kind: str, strength: int, seed: int = 0) -> Image:
    """Return the corrupted picture, of the same size; the same seed gives the same pixels.

    Raises:
        KeyError: there is no such corruption.
        ValueError: the strength is not 1 to 5.
    """
    if strength not in STRENGTHS:
        raise ValueError(f"strength must be 1 to 5, got {strength}")
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    changed = CORRUPTIONS[kind](pixels, strength - 1, np.random.default_rng(seed))
    return _picture(changed)


def _picture(pixels: Pixels) -> Image:
    return PIL.Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def _pixels(picture: Image) -> Pixels:
    return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255


def _gaussian_noise(x: Pixels, s: int, rng: np.random.Generator) -> Pixels:
    return x + rng.normal(0, (0.08, 0.12, 0.18, 0.26, 0.38)[s], x.shape).astype(np.float32)


def _shot_noise(x: Pixels, s: int, rng: np.random.Generator) -> Pixels:
    photons = (60, 25, 12, 5, 3)[s]
    return (rng.poisson(x * photons) / photons).astype(np.float32)


def _impulse_noise(x: Pixels, s: int, rng: np.random.Generator) -> Pixels:
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[s]
    drawn = rng.random(x.shape)
    return np.where(drawn < share / 2, 0.0, np.where(drawn > 1 - share / 2, 1.0, x)).astype(np.float32)


def _gaussian_blur(x: Pixels, s: int, _: np.random.Generator) -> Pixels:
    return _pixels(_picture(x).filter(PIL.ImageFilter.GaussianBlur((1, 2, 3, 4, 6)[s])))


def _defocus_blur(x: Pixels, s: int, _: np.random.Generator) -> Pixels:
    """Mean over a disk, summed row by row."""
    radius = (2, 3, 4, 5, 7)[s]
    padded = np.pad(x, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    height, width = x.shape[:2]
    total, count = np.zeros_like(x), 0
    for dy in range(-radius, radius + 1):
        reach = int((radius * radius - dy * dy) ** 0.5)
        for dx in range(-reach, reach + 1):
            total += padded[radius + dy : radius + dy + height, radius + dx : radius + dx + width]
            count += 1
    return total / count


def _fog(x: Pixels, s: int, rng: np.random.Generator) -> Pixels:
    """Plasma clouds (octaves of smoothed noise) over the picture."""
    amount, decay = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))[s]
    height, width = x.shape[:2]
    cloud = np.zeros((height, width), dtype=np.float32)
    for octave in range(1, 8):
        coarse = PIL.Image.fromarray(rng.random((2**octave, 2**octave), dtype=np.float32))
        layer = np.asarray(coarse.resize((width, height), PIL.Image.Resampling.BICUBIC))
        cloud += layer / decay**octave
    cloud = (cloud - cloud.min()) / max(float(np.ptp(cloud)), 1e-6)
    brightest = float(x.max())
    clouded: Pixels = (x + amount * cloud[..., None]) * brightest / (brightest + amount)
    return clouded


def _brightness(x: Pixels, s: int, _: np.random.Generator) -> Pixels:
    """Raise the value of HSV, which is the largest channel; hue and saturation stay."""
    value: Pixels = x.max(axis=2, keepdims=True)
    raised = np.clip(value + (0.1, 0.2, 0.3, 0.4, 0.5)[s], 0, 1)
    lit: Pixels = np.where(value > 0, x * (raised / np.maximum(value, 1e-6)), raised)
    return lit


def _contrast(x: Pixels, s: int, _: np.random.Generator) -> Pixels:
    mean: Pixels = x.mean(axis=(0, 1), keepdims=True)
    flat: Pixels = (x - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[s] + mean
    return flat


def _saturate(x: Pixels, s: int, _: np.random.Generator) -> Pixels:
    grey: Pixels = x.mean(axis=2, keepdims=True)
    tinted: Pixels = grey + (x - grey) * (0.3, 0.1, 2.0, 5.0, 20.0)[s]
    return tinted


def _pixelate(x: Pixels, s: int, _: np.random.Generator) -> Pixels:
    height, width = x.shape[:2]
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[s]
    small = (max(1, int(width * share)), max(1, int(height * share)))
    shrunk = _picture(x).resize(small, PIL.Image.Resampling.BOX)
    return _pixels(shrunk.resize((width, height), PIL.Image.Resampling.NEAREST))


def _jpeg(x: Pixels, s: int, _: np.random.Generator) -> Pixels:
    data = encode(_picture(x), ".jpg", quality=(25, 18, 15, 10, 7)[s])
    return _pixels(PIL.Image.open(io.BytesIO(data)))


CORRUPTIONS: Mapping[str, _Corruption] = MappingProxyType(
    {
        "gaussian-noise": _gaussian_noise,
        "shot-noise": _shot_noise,
        "impulse-noise": _impulse_noise,
        "gaussian-blur": _gaussian_blur,
        "defocus-blur": _defocus_blur,
        "fog": _fog,
        "brightness": _brightness,
        "contrast": _contrast,
        "saturate": _saturate,
        "pixelate": _pixelate,
        "jpeg": _jpeg,
    }
)
"""Name -> corruption."""
