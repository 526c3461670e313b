"""The networks: a language model's states, and one linear layer that reads harm and categories from them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mllm_protector.errors import CheckpointError, MissingExtraError
from mllm_protector.networks.manifest import TrainedManifest

__all__ = [
    "HEAD",
    "HarmNetwork",
    "JointNetwork",
    "load_network",
    "load_transformer",
    "pad",
    "pooling_of",
    "quiet_transformers",
    "save_head",
    "with_adapter",
]

HEAD = "head.safetensors"
_UNREAD = ("pooler",)
"""Parts that no output reads; parameters without a gradient would stop distributed training."""


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without the progress bars and notes of transformers and peft: what matters is checked and said here."""
    log = transformers.utils.logging
    before = log.get_verbosity()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        log.set_verbosity(before)
        log.enable_progress_bar()


def load_transformer(
    base: str,
    *,
    writes: bool,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    download: bool = False,
) -> Any:
    """Return a pretrained transformer.

    Args:
        base: folder, or hub id.
        writes: with its output layer (a causal language model), or its states alone.
        revision: branch, tag or commit on the hub.
        dtype: of the weights.
        download: fetch a hub id that is not on this machine yet.

    Raises:
        CheckpointError: it is not there, or is an encoder-decoder.
    """
    kind: Any = transformers.AutoModelForCausalLM if writes else transformers.AutoModel
    options: dict[str, Any] = {"revision": revision, "local_files_only": not download}
    try:
        config = transformers.AutoConfig.from_pretrained(base, **options)
        if getattr(config, "is_encoder_decoder", False):
            raise CheckpointError(f"{base} is an encoder-decoder; give an encoder or a causal language model")
        with quiet_transformers():
            model, found = kind.from_pretrained(base, dtype=dtype, output_loading_info=True, **options)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        words = " ".join(str(error).split())[:300]
        cure = "" if download or Path(base).exists() else "; give a folder, or --download for a hub id"
        raise CheckpointError(f"the base model {base!r} cannot be loaded{cure}: {words}") from error
    if lost := sorted(key for key in found["missing_keys"] if not key.startswith(_UNREAD)):
        raise CheckpointError(f"{base} has no weights for {', '.join(lost[:3])}: choose another base model")
    for part in _UNREAD:
        if getattr(model, part, None) is not None:
            setattr(model, part, None)
    return model


def pooling_of(model: Any) -> str:
    """Where a model's verdict is read: the first token of an encoder, the last of a causal model."""
    return "first" if type(model.config) in transformers.MODEL_FOR_MASKED_LM_MAPPING else "last"


def pad(rows: Sequence[Sequence[int]], pad_id: int, device: Any = "cpu") -> tuple[Tensor, Tensor]:
    """Token ids and attention mask [n, t] int64, padded on the right."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in rows], dtype=torch.int64)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], dtype=torch.int64)
    return ids.to(device), mask.to(device)


def _to_the_right(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows with their padding on the right, wherever it was: positions then count from 0."""
    order = torch.argsort(mask, dim=1, descending=True, stable=True)
    return ids.gather(1, order), mask.gather(1, order)


class HarmNetwork(nn.Module):
    """Logits of harm and categories from one state of a transformer.

    Args:
        transformer: gives states [n, t, d].
        outputs: how many logits.
        pooling: ``first``, ``last`` (of the tokens that are no padding) or ``mean``.
    """

    def __init__(self, transformer: Any, outputs: int, pooling: str) -> None:
        super().__init__()
        self.transformer = transformer
        self.pooling = pooling
        self.head = _linear(transformer, outputs)
        self._no_split_modules = getattr(transformer, "_no_split_modules", None)  # what FSDP wraps

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits [n, outputs] in float32 from two [n, t] int64 tensors, padded on either side."""
        return self.right_padded(*_to_the_right(input_ids, attention_mask))

    def right_padded(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The same for rows that are padded on the right; what is exported."""
        states = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.pooling == "first":
            state = states[:, 0]
        elif self.pooling == "last":
            state = _at(states, attention_mask.sum(1) - 1)
        else:
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            state = (states * mask).sum(1) / mask.sum(1)
        return _logits(self.head, state)


class JointNetwork(nn.Module):
    """A causal language model that gives a verdict at one token and writes on behind it.

    Args:
        transformer: a causal language model.
        outputs: how many logits of the verdict.
    """

    def __init__(self, transformer: Any, outputs: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = _linear(transformer, outputs)
        self._no_split_modules = getattr(transformer, "_no_split_modules", None)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, verdict_at: Tensor, **options: Any
    ) -> tuple[Tensor, Any]:
        """Verdict logits [n, outputs] in float32, and the language model's output.

        Args:
            input_ids: [n, t] int64, padded on the right.
            attention_mask: [n, t] int64.
            verdict_at: [n] int64, the token whose state is the verdict's; it sees nothing behind itself.
            options: passed on, such as ``use_cache``.
        """
        written = self.transformer(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True, **options
        )
        return _logits(self.head, _at(written.hidden_states[-1], verdict_at)), written


def _linear(transformer: Any, outputs: int) -> nn.Linear:
    head = nn.Linear(int(transformer.config.get_text_config().hidden_size), outputs)
    nn.init.normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return head


def _at(states: Tensor, places: Tensor) -> Tensor:
    return states[torch.arange(states.shape[0], device=states.device), places]


def _logits(head: nn.Linear, state: Tensor) -> Tensor:
    with torch.autocast(state.device.type, enabled=False):  # a verdict is worth 32 bits
        logits: Tensor = head(state.float())
    return logits


def save_head(head: nn.Linear, folder: Path) -> None:
    """Write the linear layer of the outputs."""
    save_file({k: v.detach().float().cpu().contiguous() for k, v in head.state_dict().items()}, folder / HEAD)


def load_network(
    folder: Path, manifest: TrainedManifest, *, writes: bool, device: str, dtype: torch.dtype
) -> HarmNetwork | JointNetwork:
    """The trained network of ``folder``, ready to run.

    Args:
        folder: a checkpoint with ``whole`` or ``adapter`` weights, whose sums were checked.
        manifest: its manifest.
        writes: a joint model; a detector otherwise.
        device: such as ``cpu`` or ``cuda``.
        dtype: of the transformer; the outputs are always float32.

    Raises:
        CheckpointError: the files do not fit together.
        MissingExtraError: an adapter needs peft.
    """
    adapted = manifest.weights == "adapter"
    transformer = load_transformer(manifest.base if adapted else str(folder), writes=writes, dtype=dtype)
    if adapted:
        transformer = with_adapter(transformer, folder)
    outputs = len(manifest.outputs)
    network = (
        JointNetwork(transformer, outputs) if writes else HarmNetwork(transformer, outputs, manifest.pooling)
    )
    try:
        head: Mapping[str, Tensor] = load_file(folder / HEAD)
        network.head.load_state_dict(dict(head))
    except (OSError, RuntimeError, SafetensorError) as error:
        words = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{folder / HEAD} cannot be used ({words}): train it again") from error
    return network.to(device).eval().requires_grad_(False)


def with_adapter(transformer: Any, folder: Path) -> Any:
    """The transformer with the adapter in ``folder`` merged into its weights.

    Raises:
        CheckpointError: it does not fit.
        MissingExtraError: peft is not installed.
    """
    try:
        import peft
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "an adapter needs peft; pip install 'mllm-protector[transformers]'"
        ) from error
    try:
        with quiet_transformers():
            return peft.PeftModel.from_pretrained(transformer, str(folder)).merge_and_unload()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        words = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the adapter in {folder} does not fit its base model: {words}") from error
