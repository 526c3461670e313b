"""From logits to a detection: calibrate, combine categories with harm, take the worst window (pure)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mllm_protector.errors import BackendError
from mllm_protector.networks.manifest import TrainedManifest
from mllm_protector.taxonomy import HAZARDS
from mllm_protector.types import Detection

__all__ = ["detection_of", "probabilities_of"]

_HAZARDS = frozenset(category.code for category in HAZARDS)


def probabilities_of(logits: NDArray[np.float32], manifest: TrainedManifest) -> NDArray[np.float64]:
    """Probabilities [n, outputs] of logits [n, outputs].

    The hazards are learned from harmful rows, as P(category | harmful); here they become P(category and
    harmful). Advice is independent of harm.

    Raises:
        BackendError: a logit is not a number.
    """
    if logits.shape[1:] != (len(manifest.outputs),) or not np.isfinite(logits).all():
        raise BackendError(
            f"{manifest.name} returned no usable score: run mllm-protector model verify FOLDER"
        )
    scale = np.array([manifest.calibration[name].scale for name in manifest.outputs])
    bias = np.array([manifest.calibration[name].bias for name in manifest.outputs])
    each: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits * scale + bias, -30, 30)))
    given_harm = np.array([name in _HAZARDS for name in manifest.outputs])
    return np.where(given_harm, each * each[:, :1], each)


def detection_of(logits: NDArray[np.float32], manifest: TrainedManifest) -> Detection:
    """The detection of one exchange from the logits of its windows [windows, outputs]: its worst of each."""
    worst = probabilities_of(logits, manifest).max(axis=0)
    categories = {name: float(p) for name, p in zip(manifest.outputs[1:], worst[1:], strict=True)}
    return Detection(float(worst[0]), categories)
