"""The model that training begins with: transformer, tokenizer, adapters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from tokenizers import Tokenizer

from mllm_protector.errors import CheckpointError, TrainingError
from mllm_protector.networks.harm import load_transformer, quiet_transformers
from mllm_protector.training.recipe import LoopSettings

__all__ = ["Base", "plain_tokenizer", "special_ids"]


@dataclass(frozen=True, slots=True)
class Base:
    """Where a model begins.

    Attributes:
        name: hub id or folder.
        revision: branch, tag or commit on the hub.
        download: fetch a hub id that is not on this machine yet; never done unasked.
    """

    name: str
    revision: str | None = None
    download: bool = False

    def tokenizer(self) -> Any:
        """Its tokenizer, which must be a fast one.

        Raises:
            CheckpointError: it is not there.
        """
        try:
            found: Any = transformers.AutoTokenizer.from_pretrained(
                self.name, revision=self.revision, local_files_only=not self.download
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            words = " ".join(str(error).split())[:200]
            cure = "" if self.download or Path(self.name).exists() else "; give a folder, or --download"
            raise CheckpointError(
                f"{self.name!r} has no tokenizer that can be loaded{cure}: {words}"
            ) from error
        if not getattr(found, "is_fast", False):
            raise CheckpointError(
                f"{self.name!r} has no fast tokenizer (tokenizer.json): choose another base"
            )
        return found

    def transformer(self, settings: LoopSettings, *, writes: bool) -> Any:
        """Its network, to be trained as a whole or with adapters.

        Raises:
            CheckpointError: it is not there.
            TrainingError: the adapters' targets are not in it.
        """
        frozen = settings.lora is not None and settings.bf16
        model = load_transformer(
            self.name, writes=writes, revision=self.revision, download=self.download,
            dtype=torch.bfloat16 if frozen else torch.float32,
        )  # fmt: skip
        model.config.use_cache = False
        if settings.gradient_checkpointing:
            with quiet_transformers():  # newer versions have another name for it
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if settings.lora is None:
            return model
        lora = settings.lora
        targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
        config = peft.LoraConfig(
            r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets
        )
        try:
            with quiet_transformers():
                return peft.get_peft_model(model, config)
        except ValueError as error:
            words = " ".join(str(error).split())[:200]
            raise TrainingError(f"lora: {words}; name layers of this model in `targets`") from error


def plain_tokenizer(tokenizer: Any) -> Tokenizer:
    """The ``tokenizers`` object inside, without truncation and padding: what inference uses as well."""
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def special_ids(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Ids in front of a text, behind it, and to pad with."""

    def ids(*names: str) -> tuple[int, ...]:
        found = [getattr(tokenizer, name, None) for name in names]
        return tuple(i for i in found if i is not None)[:1]

    end = ids("sep_token_id", "eos_token_id")
    pad = tokenizer.pad_token_id
    return ids("cls_token_id", "bos_token_id"), end, (end[0] if end else 0) if pad is None else pad
