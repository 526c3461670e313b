"""The network of the detector: a BERT encoder and one linear layer with all heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from mllm_protector.checkpoints import OUTPUTS
from mllm_protector.errors import TrainingError

__all__ = ["PairClassifier", "embed_mean", "soup"]


class PairClassifier(nn.Module):
    """Logits of every head from the first token's state and the mean of all, side by side."""

    encoder: Any  # transformers types the parts of a model as Tensor or Module

    def __init__(self, encoder: PreTrainedModel, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(2 * int(encoder.config.hidden_size), len(OUTPUTS))
        nn.init.normal_(self.heads.weight, std=0.02)
        nn.init.zeros_(self.heads.bias)

    @classmethod
    def from_base(cls, base: Path) -> PairClassifier:
        """A fresh classifier on the encoder saved in ``base``."""
        # sdpa is faster in training; the exporter switches to eager, the pattern that onnxruntime fuses.
        return cls(AutoModel.from_pretrained(base, add_pooling_layer=False, attn_implementation="sdpa"))

    @classmethod
    def from_config(cls, config: PretrainedConfig) -> PairClassifier:
        """A classifier with random weights."""
        return cls(AutoModel.from_config(config, add_pooling_layer=False))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Logits [n, outputs] from three [n, t] int64 tensors."""
        states = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1)
        logits: Tensor = self.heads(self.dropout(torch.cat([states[:, 0], mean], dim=-1)))
        return logits


def embed_mean(encoder: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Unit-length mean embeddings [n, d], as the sentence-transformers base was trained for."""
    with torch.inference_mode():
        states = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)


def soup(networks: Sequence[PairClassifier]) -> PairClassifier:
    """The first network with the mean of all weights (model soup, Wortsman et al. 2022, arXiv 2203.05482)."""
    if not networks:
        raise TrainingError("there are no networks to take the mean of: name at least one run")
    states = [network.state_dict() for network in networks]
    mean = {
        name: torch.stack([s[name].float() for s in states]).mean(0).to(v.dtype)
        for name, v in states[0].items()
    }
    networks[0].load_state_dict(mean)
    return networks[0].eval()
