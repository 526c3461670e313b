"""The verdict half of a joint model; the detoxifier ``joint`` is the other half, over the same model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mllm_protector.networks.joint import load_joint
from mllm_protector.networks.manifest import TrainedManifest
from mllm_protector.types import Detection, Exchange

__all__ = ["JointDetector"]


class JointDetector:
    """P(harmful) by a joint model.

    Args:
        path: the folder that ``train joint`` wrote.
        device: ``auto`` takes CUDA where there is one.
        dtype: ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        CheckpointError: the folder holds no joint model, or is damaged.
    """

    def __init__(self, path: Path | str, *, device: str = "auto", dtype: str = "float32") -> None:
        self.folder = Path(path)
        self.model = load_joint(path, device=device, dtype=dtype)
        self._dtype = dtype

    @property
    def manifest(self) -> TrainedManifest:
        """What the checkpoint says of itself."""
        return self.model.manifest

    @property
    def fingerprint(self) -> str:
        """What identifies its scores: see ``TrainedManifest.fingerprint``."""
        return self.manifest.fingerprint(dtype=self._dtype)

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one detection per exchange, in order; empty responses are harmless.

        Raises:
            BackendError: the network failed.
        """
        spoken = [exchange for exchange in exchanges if exchange.response.strip()]
        judged = iter(self.model.judge(spoken))
        return [next(judged) if e.response.strip() else Detection(0.0) for e in exchanges]
