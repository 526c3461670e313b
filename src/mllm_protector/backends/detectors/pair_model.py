"""The network of a pair detector at run time: one onnxruntime session and one tokenizer.

Inputs run one window at a time. The int8 network quantises its activations with one scale per call
(DynamicQuantizeLinear over the whole tensor), so in a batch a window's score depends on its
neighbours and on padding: logits moved by up to 0.9 when 16 windows were run together. One by one
the same exchange always has the same score, nothing is padded, and long windows are no slower.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mllm_protector.checkpoints import MODEL, TOKENIZER, Manifest, probabilities, verify
from mllm_protector.errors import BackendError, CheckpointError
from mllm_protector.prompts import Window

__all__ = ["PairModel", "default_threads"]

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def default_threads() -> int:
    """Threads of one call: the processors there are, at most 4 (more gain little on windows this short)."""
    return min(4, os.cpu_count() or 1)


class PairModel:
    """Token ids and probabilities of a checkpoint; safe to call from several threads.

    Args:
        folder: a checkpoint (see ``checkpoints``); every file is checked against its SHA-256.
        threads: threads inside one call, None for ``default_threads()``.

    Raises:
        CheckpointError: a file is missing, damaged, or not what the manifest says.
    """

    def __init__(self, folder: Path | str, *, threads: int | None = None) -> None:
        self.manifest: Manifest = verify(folder)
        options = ort.SessionOptions()
        options.intra_op_num_threads = default_threads() if threads is None else max(1, threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(Path(folder) / MODEL), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(Path(folder) / TOKENIZER))
        except Exception as error:
            raise CheckpointError(
                f"{folder} holds a model that cannot be loaded ({_one_line(error)}): export it again"
            ) from error
        if {item.name for item in self._session.get_inputs()} != set(_INPUTS):
            raise CheckpointError(f"{folder}: the model must take {', '.join(_INPUTS)}: export it again")
        self._tokenizer.no_truncation()  # a saved tokenizer may cut at 128 tokens, which would hide the rest
        self._tokenizer.no_padding()

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text without special tokens; texts must hold no lone surrogates."""
        try:
            if len(texts) < 4:  # not worth waking the tokenizer's threads
                return [self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
            encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
            return [encoding.ids for encoding in encodings]
        except Exception as error:
            raise BackendError(f"the text cannot be tokenised ({_one_line(error)})") from error

    def joined_ids(self, texts: Sequence[str], at_once: int = 64) -> tuple[array[int], list[int]]:
        """Token ids of consecutive texts in one array, and for each text the number of tokens before it."""
        joined, before = array("i"), []
        for first in range(0, len(texts), at_once):
            for ids in self.token_ids(texts[first : first + at_once]):
                before.append(len(joined))
                joined.extend(ids)
        return joined, before

    def run(self, window: Window) -> NDArray[np.float32]:
        """Calibrated probabilities of one window, shape [outputs], in the order of the manifest."""
        ids = np.array([window.input_ids], dtype=np.int64)
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.array([window.token_type_ids], dtype=np.int64),
        }
        try:
            logits = self._session.run(None, feed)[0]
        except Exception as error:
            raise BackendError(f"the harm detector failed ({_one_line(error)})") from error
        if logits.shape != (1, len(self.manifest.outputs)) or not np.isfinite(logits).all():
            raise BackendError("the harm detector returned no usable score: run mllm-protector model verify")
        row: NDArray[np.float32] = probabilities(logits, self.manifest)[0]
        return row


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
