"""Recipe files, and the settings that all trainers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from mllm_protector.errors import ConfigError
from mllm_protector.suggest import nearest

__all__ = ["HarmSettings", "LoopSettings", "LoraSettings", "RunOptions", "read_recipe"]

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685); what is not adapted is frozen.

    Attributes:
        rank: of the update of each layer.
        alpha: the update is scaled by alpha / rank.
        dropout: on its input.
        targets: names of the layers, or ``all-linear``.
        merge: write the result as whole weights; False keeps adapter and base apart.
    """

    rank: int = 32
    alpha: int = 32
    dropout: float = 0.1
    targets: str | tuple[str, ...] = "all-linear"
    merge: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """How a network is trained, whatever it learns.

    Attributes:
        epochs: passes over the data.
        batch_size: rows per update in all; the result does not depend on how they are spread.
        micro_batch: rows per forward pass of one process; the rest is accumulated.
        lr: highest learning rate of the transformer.
        head_lr: of a new linear layer; None for ``lr``.
        schedule: of the rate after the warm-up: ``cosine`` or ``linear`` towards 0, or ``constant``.
        warmup: share of the updates with rising rate.
        weight_decay: of AdamW.
        clip: largest gradient norm.
        lora: None trains all weights.
        bf16: compute in bfloat16; weights that are frozen are held in it too.
        gradient_checkpointing: compute activations twice to save memory.
        max_length: longest input in tokens.
        dev_share: of the prompts, kept for development where no file is given.
        evaluate_every: updates between looks at the development rows; each is a checkpoint as well.
        save_every: updates between checkpoints to resume from.
        patience: looks without improvement after which training stops; 0 never stops early.
        seed: of the order, the new weights and the dropout.
    """

    epochs: int = 3
    batch_size: int = 16
    micro_batch: int = 4
    lr: float = 2e-5
    head_lr: float | None = None
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.03
    weight_decay: float = 0.0
    clip: float = 1.0
    lora: LoraSettings | None = None
    bf16: bool = False
    gradient_checkpointing: bool = False
    max_length: int = 512
    dev_share: float = 0.05
    evaluate_every: int = 200
    save_every: int = 200
    patience: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        counts = (self.epochs, self.batch_size, self.micro_batch, self.evaluate_every, self.save_every)
        if min(counts) < 1 or self.patience < 0 or self.max_length < 8:
            raise ConfigError(
                "recipe: epochs, batch_size, micro_batch, evaluate_every and save_every are at least 1, "
                "max_length at least 8"
            )
        if self.lr <= 0 or self.clip <= 0 or not 0 <= self.warmup < 1 or not 0 <= self.dev_share < 1:
            raise ConfigError("recipe: lr and clip are above 0, warmup and dev_share in [0, 1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmSettings(LoopSettings):
    """How P(harmful) and categories are learned, by a detector or a joint model.

    Attributes:
        prompt_tokens: tokens that a prompt may always take; None for half of ``max_length``.
        normalise: undo obfuscation before the text is read, in training and inference.
        categories: ``auto`` gives a head to each category that occurs, ``none`` only judges harm; or the
            codes.
        auxiliary: weight of the category loss.
        class_weights: ``balanced``, or factors of ``harmful`` and ``harmless`` rows.
        source_weights: source -> factor of its rows.
    """

    prompt_tokens: int | None = None
    normalise: bool = True
    categories: Literal["auto", "none"] | tuple[str, ...] = "auto"
    auxiliary: float = 0.3
    class_weights: Literal["balanced"] | Mapping[Literal["harmful", "harmless"], float] = field(
        default_factory=dict
    )
    source_weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        LoopSettings.__post_init__(self)
        if min(self.auxiliary, *self.source_weights.values(), 0.0) < 0:
            raise ConfigError("recipe: auxiliary and source_weights are at least 0")


class RunOptions(TypedDict, total=False):
    """How one call of a trainer goes, whatever the recipe says.

    Attributes:
        overwrite: replace a finished model.
        restart: drop an unfinished run.
        quiet: nothing on the terminal.
        stop_after: end after this update as if killed.
    """

    overwrite: bool
    restart: bool
    quiet: bool
    stop_after: int | None


def read_recipe(kind: type[S], path: Path | None, changes: Mapping[str, Any] | None = None) -> S:
    """Settings from a YAML file, with ``changes`` on top; no file gives the defaults.

    Raises:
        ConfigError: the file is unreadable, or a key or value is wrong.
    """
    data: Any = {}
    if path is not None:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            words = " ".join(str(error).split())[:200]
            raise ConfigError(f"the recipe {path} cannot be read ({words}): check --recipe") from error
    if not isinstance(data, dict):
        raise ConfigError(f"the recipe {path} must be a mapping of keys, such as `epochs: 3`")
    data = data | dict(changes or {})
    where = f"recipe {path}" if path else "settings"
    _known(kind, data, where)
    if isinstance(data.get("lora"), dict):
        _known(LoraSettings, data["lora"], f"{where}, lora")
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: {place}: {first['msg'].lower()}") from error


def _known(kind: type[Any], data: Mapping[str, Any], where: str) -> None:
    known = [field.name for field in fields(kind)]
    for key in data:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(str(key), known)}")
