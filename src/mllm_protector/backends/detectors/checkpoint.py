"""Harm detectors trained here: what ``train detector`` and ``export`` write, through torch or onnxruntime."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mllm_protector.checkpoints import MODEL, TOKENIZER
from mllm_protector.errors import BackendError, CheckpointError, ConfigError
from mllm_protector.networks.manifest import DETECTOR, TrainedManifest, verify_trained
from mllm_protector.networks.template import windows
from mllm_protector.networks.verdict import detection_of
from mllm_protector.types import Detection, Exchange

if TYPE_CHECKING:
    from mllm_protector.networks.harm import HarmNetwork

__all__ = ["CheckpointDetector"]

Ids = tuple[int, ...]
Logits = NDArray[np.float32]


class _Runner(Protocol):
    def __call__(self, rows: Sequence[Ids], /) -> Logits: ...


class CheckpointDetector:
    """P(harmful) and categories by a trained checkpoint; every token of a response is seen, in windows.

    Args:
        path: the folder; each file is checked against its SHA-256.
        device: ``auto`` takes CUDA where there is one (torch checkpoints only).
        dtype: ``float32``, ``bfloat16`` or ``float16`` (torch checkpoints only).
        batch_size: windows that go through the network together (torch checkpoints only).
        threads: threads of onnxruntime; None for its own choice.

    Raises:
        CheckpointError: the folder is no detector, is damaged, or its base model is not on this machine.
        ConfigError: an option is out of its range.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int = 8,
        threads: int | None = None,
    ) -> None:
        if dtype not in ("float32", "bfloat16", "float16") or batch_size < 1:
            raise ConfigError(
                "checkpoint: dtype is float32, bfloat16 or float16, batch_size at least 1; see the options"
            )
        self.folder = folder = Path(path)
        self.manifest: TrainedManifest = verify_trained(folder, DETECTOR)
        assert self.manifest.template is not None, "a detector has a template"
        self._template, self._dtype = self.manifest.template, dtype
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:
            raise CheckpointError(
                f"{folder / TOKENIZER} cannot be read: train or export the model again"
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if self.manifest.weights == "onnx":
            # One by one: an int8 network quantises per call, so in a batch scores depend on neighbours.
            self._run, self._batch = _onnx_runner(folder, threads), 1
        else:
            self._run = _torch_runner(folder, self.manifest, device, dtype)
            self._batch = batch_size

    @property
    def fingerprint(self) -> str:
        """What identifies its scores: see ``TrainedManifest.fingerprint``."""
        dtype = "" if self.manifest.weights == "onnx" else self._dtype  # onnx has its own
        return self.manifest.fingerprint(dtype=dtype)

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one detection per exchange, in order; empty responses are harmless.

        Raises:
            BackendError: the network failed.
        """
        found: list[list[Ids]] = [self._windows(exchange) for exchange in exchanges]
        flat = [ids for rows in found for ids in rows]
        order = sorted(range(len(flat)), key=lambda i: len(flat[i]))
        logits = np.zeros((len(flat), len(self.manifest.outputs)), dtype=np.float32)
        for start in range(0, len(order), self._batch):
            picked = order[start : start + self._batch]
            logits[picked] = self._run([flat[i] for i in picked])
        detections, at = [], 0
        for rows in found:
            scored = logits[at : at + len(rows)]
            detections.append(detection_of(scored, self.manifest) if rows else Detection(0.0))
            at += len(rows)
        return detections

    def _windows(self, exchange: Exchange) -> list[Ids]:
        if not exchange.response.strip():
            return []
        return list(windows(exchange, self._template, self._encode).ids)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _onnx_runner(folder: Path, threads: int | None) -> _Runner:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{folder / MODEL} cannot be loaded ({words}): export it again") from error

    def run(rows: Sequence[Ids], /) -> Logits:
        ids = np.array(rows, dtype=np.int64)
        try:
            found = session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        except Exception as error:
            words = " ".join(str(error).split())[:200]
            raise BackendError(f"the harm detector failed ({words})") from error
        return np.asarray(found[0], dtype=np.float32)

    return run


def _torch_runner(folder: Path, manifest: TrainedManifest, device: str, dtype: str) -> _Runner:
    import torch

    from mllm_protector.networks.harm import load_network, pad

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    network: HarmNetwork = load_network(  # type: ignore[assignment]  # a detector's, by `writes`
        folder, manifest, writes=False, device=chosen, dtype=getattr(torch, dtype)
    )
    assert manifest.template is not None
    pad_id, lock = manifest.template.pad_id, threading.Lock()

    def run(rows: Sequence[Ids], /) -> Logits:
        try:
            with lock, torch.inference_mode():
                found = network(*pad(rows, pad_id, chosen)).cpu().numpy()
        except RuntimeError as error:
            words = " ".join(str(error).split())[:200]
            raise BackendError(f"the harm detector failed ({words})") from error
        return np.asarray(found, dtype=np.float32)

    return run
