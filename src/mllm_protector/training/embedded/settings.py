"""What a training run depends on but its data, and the recipe file that says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from mllm_protector.errors import TrainingError
from mllm_protector.training.embedded.mixture import Share

__all__ = ["Settings", "load_recipe"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a run depends on but its data.

    Attributes:
        epochs: passes, each over a newly drawn mixture.
        batch_size: examples per step.
        train_tokens: longest window in training.
        lr: highest learning rate of the encoder; layers further down get ``layer_decay`` less each.
        head_lr: of the heads.
        layer_decay: factor from layer to layer.
        warmup: share of the steps with rising rate; it then falls to 0 in a straight line.
        weight_decay: of AdamW.
        clip: largest gradient norm.
        smoothing: label smoothing of the harm head.
        auxiliary: weight of the category and advice losses.
        freeze_embeddings: keep the token embeddings as they are.
        average_from: share of the steps from which on weights are averaged; 1 for no average.
        bf16: run the network in bfloat16 autocast.
        threads: torch threads.
        checkpoint_every: steps between checkpoints.
        seed: of everything random.
        shares: source -> how much of it; ``hard_X`` draws rows of X that the starting network errs on most.
    """

    epochs: int = 2
    batch_size: int = 32
    train_tokens: int = 192
    lr: float = 1e-4
    head_lr: float = 1e-3
    layer_decay: float = 0.95
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    smoothing: float = 0.05
    auxiliary: float = 0.3
    freeze_embeddings: bool = True
    average_from: float = 0.8
    bf16: bool = True
    threads: int = 2
    checkpoint_every: int = 100
    seed: int = 1
    shares: Mapping[str, Share] = field(default_factory=dict)


def load_recipe(path: Path) -> Settings:
    """Settings from a YAML recipe; raises TrainingError on unknown keys."""
    try:
        data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        shares = {name: Share(**share) for name, share in data.pop("shares", {}).items()}
        return Settings(**data, shares=shares)
    except (OSError, TypeError, AttributeError, yaml.YAMLError) as error:
        known = [f.name for f in fields(Settings)]
        raise TrainingError(f"recipe {path} cannot be used ({error}); keys: {known}") from error
