"""The writing half of a joint model: goes on from the pass that gave the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mllm_protector.errors import ConfigError
from mllm_protector.networks.joint import load_joint
from mllm_protector.rewrite_prompts import clean
from mllm_protector.types import RewriteTask

__all__ = ["JointDetoxifier"]


class JointDetoxifier:
    """Rewrites by a joint model; greedy, so there is one try.

    Args:
        path: the folder that ``train joint`` wrote; the same as the detector's shares its loaded model.
        device: as the detector's.
        dtype: as the detector's.
        max_new_tokens: of a rewrite.

    Raises:
        CheckpointError: the folder holds no joint model, or is damaged.
        ConfigError: an option is out of its range.
    """

    attempts = 1

    def __init__(
        self, path: Path | str, *, device: str = "auto", dtype: str = "float32", max_new_tokens: int = 256
    ) -> None:
        if max_new_tokens < 1:
            raise ConfigError("joint: max_new_tokens is at least 1")
        self.model = load_joint(path, device=device, dtype=dtype)
        self._longest = max_new_tokens

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        """Return one text per task, in order.

        Raises:
            BackendError: the network failed.
        """
        return [clean(text) for text in self.model.rewrite([t.exchange for t in tasks], self._longest)]
