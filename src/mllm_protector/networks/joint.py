"""A joint model at run time: one pass gives the verdict, and the rewrite goes on from that pass.

The states of harmful exchanges are kept (a few, the newest) until their rewrite is asked for, so that the
request and the harmful answer are read once. Both back-ends of one configuration share one loaded model.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers.cache_utils import DynamicCache, DynamicLayer

from mllm_protector.errors import BackendError, CheckpointError, ConfigError
from mllm_protector.networks.harm import load_network, pad, quiet_transformers
from mllm_protector.networks.manifest import JOINT, verify_trained
from mllm_protector.networks.template import windows
from mllm_protector.networks.verdict import detection_of
from mllm_protector.types import Detection, Exchange

__all__ = ["JointModel", "Work", "load_joint"]

_AT_ONCE = 8
_KEPT = 16


@dataclass(slots=True)
class Work:
    """What a model has done so far.

    Attributes:
        passes: forward passes of the network.
        read: tokens read for verdicts.
        written: tokens written.
    """

    passes: int = 0
    read: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """A window that was read: its tokens, and the states of all but the last, None if they were not kept."""

    ids: tuple[int, ...]
    states: Any


class JointModel:
    """Verdicts and rewrites of one network; safe to call from several threads.

    Args:
        folder: a checkpoint of ``train joint``.
        device: ``auto`` takes CUDA where there is one.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        keep: harmful exchanges whose states are kept for their rewrite; 0 reads them a second time.

    Raises:
        CheckpointError: the folder holds no joint model, or is damaged.
    """

    def __init__(
        self, folder: Path | str, *, device: str = "auto", dtype: str = "float32", keep: int = _KEPT
    ) -> None:
        if dtype not in ("float32", "bfloat16", "float16"):
            raise ConfigError(f"joint: dtype {dtype!r} is none of float32, bfloat16, float16")
        self.manifest = verify_trained(folder, JOINT)
        assert self.manifest.template is not None, "a joint model has a template"
        self._template = self.manifest.template
        self._device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._network: Any = load_network(
            Path(folder), self.manifest, writes=True, device=self._device, dtype=getattr(torch, dtype)
        )
        try:
            self._tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        except Exception as error:
            raise CheckpointError(f"{folder}/tokenizer.json cannot be read: train the model again") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._keep = keep
        self._kept: OrderedDict[Exchange, _Read] = OrderedDict()
        self._lock = threading.Lock()
        self.work = Work()

    def judge(self, exchanges: Sequence[Exchange]) -> list[Detection]:
        """Return one detection per exchange, in order; each is judged by the worst of its windows.

        Raises:
            BackendError: the network failed.
        """
        with self._lock, torch.inference_mode():
            return self._judge(exchanges)[0]

    def rewrite(self, exchanges: Sequence[Exchange], max_new_tokens: int) -> list[str]:
        """Return a text per exchange, in order; greedy, from the window that was judged worst.

        Raises:
            BackendError: the network failed.
        """
        with self._lock, torch.inference_mode():
            return [self._write(exchange, max_new_tokens) for exchange in exchanges]

    def _judge(self, exchanges: Sequence[Exchange]) -> tuple[list[Detection], list[_Read]]:
        laid_out = [windows(e, self._template, self._encode).ids for e in exchanges]
        flat = [(owner, ids) for owner, found in enumerate(laid_out) for ids in found]
        order = sorted(range(len(flat)), key=lambda i: len(flat[i][1]))
        logits = np.zeros((len(flat), len(self.manifest.outputs)), dtype=np.float32)
        worst: dict[int, tuple[float, _Read]] = {}
        for start in range(0, len(order), _AT_ONCE):
            picked = order[start : start + _AT_ONCE]
            rows = [flat[i][1] for i in picked]
            found, cache = self._pass(rows)
            for row, i in enumerate(picked):
                logits[i] = found[row]
                owner, ids = flat[i]
                if owner not in worst or found[row][0] > worst[owner][0]:
                    states = _cut(cache, row, len(ids) - 1) if self._keep else None
                    worst[owner] = (float(found[row][0]), _Read(ids, states))
        detections, at = [], 0
        for exchange, owned in zip(exchanges, laid_out, strict=True):
            detections.append(detection_of(logits[at : at + len(owned)], self.manifest))
            at += len(owned)
            if detections[-1].harm >= self.manifest.threshold:
                self._remember(exchange, worst[len(detections) - 1][1])
        return detections, [worst[owner][1] for owner in range(len(exchanges))]

    def _pass(self, rows: Sequence[tuple[int, ...]]) -> tuple[Any, Any]:
        ids, mask = pad(rows, self._template.pad_id, self._device)
        try:
            with quiet_transformers():  # newer versions would rather call the states by another name
                logits, written = self._network(ids, mask, mask.sum(1) - 1, use_cache=self._keep > 0)
                states = written.past_key_values
        except RuntimeError as error:
            raise BackendError(f"the joint model failed ({' '.join(str(error).split())[:200]})") from error
        self.work.passes += 1
        self.work.read += int(mask.sum())
        return logits.cpu().numpy(), states

    def _write(self, exchange: Exchange, max_new_tokens: int) -> str:
        read = self._kept.pop(exchange, None) or self._judge([exchange])[1][0]
        self._kept.pop(exchange, None)  # writing adds to the states
        ids = torch.tensor([read.ids], device=self._device)
        model = self._network.transformer
        try:
            with quiet_transformers():
                written = model.generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), past_key_values=read.states,
                    max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=self._template.pad_id,
                )  # fmt: skip
        except RuntimeError as error:
            raise BackendError(f"the joint model failed ({' '.join(str(error).split())[:200]})") from error
        new = written[0, ids.shape[1] :].tolist()
        self.work.passes += len(new)
        self.work.written += len(new)
        text: str = self._tokenizer.decode(new, skip_special_tokens=True)
        return text.strip()

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _remember(self, exchange: Exchange, read: _Read) -> None:
        if read.states is None:
            return
        self._kept[exchange] = read
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)


def _cut(cache: Any, row: int, length: int) -> Any:
    """The states of one row's first tokens, None where the model keeps them in another form."""
    if length < 1 or not all(type(layer) is DynamicLayer for layer in getattr(cache, "layers", [None])):
        return None
    kept = DynamicCache()
    for place, layer in enumerate(cache.layers):
        one = slice(row, row + 1)
        kept.update(layer.keys[one, :, :length].clone(), layer.values[one, :, :length].clone(), place)
    return kept


_LOADED: WeakValueDictionary[tuple[str, str, str], JointModel] = WeakValueDictionary()
_LOADING = threading.Lock()


def load_joint(folder: Path | str, *, device: str = "auto", dtype: str = "float32") -> JointModel:
    """The model of ``folder``; the same one as long as somebody holds it.

    Raises:
        CheckpointError, ConfigError: it cannot be loaded.
    """
    key = (str(Path(folder).resolve()), device, dtype)
    with _LOADING:
        model = _LOADED.get(key)
        if model is None:
            model = _LOADED[key] = JointModel(folder, device=device, dtype=dtype)
        return model
