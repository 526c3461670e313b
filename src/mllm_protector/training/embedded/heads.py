"""The hazard heads of a mean of networks, fitted again.

Each stage ends with heads that fit its own encoder; in the mean of several they point a little beside.
With the encoder held, every head is a logistic regression on its states: convex, a minute on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mllm_protector.checkpoints import OUTPUTS
from mllm_protector.errors import TrainingError
from mllm_protector.prompts import PAIR_V1
from mllm_protector.training.embedded.batches import Encoded, collate, windows_of
from mllm_protector.training.embedded.categories import CODES, category_dev
from mllm_protector.training.embedded.examples import Example
from mllm_protector.training.embedded.exchanges import request_examples
from mllm_protector.training.embedded.mixture import Corpus
from mllm_protector.training.embedded.network import PairClassifier

__all__ = ["hazard_examples", "refit_hazards"]

SOURCES = ("categorised", "written", "vlm_attacks")
PUBLIC = 3.0  # weight of the requests of public sets: fewer than ours, and in many people's words
HEADS = [OUTPUTS.index(code) for code in CODES]


def hazard_examples(corpus: Corpus) -> list[Example]:
    """What the heads are fitted on: requests and harmful answers whose hazard is labelled, not guessed.

    A request stands alone and as its own answer: what only repeats it is of the same hazard.
    """
    ours = {example.prompt for example in request_examples()}
    found = [
        replace(example, weight=PUBLIC if source == "categorised" and example.prompt not in ours else 1.0)
        for source in SOURCES
        for example in corpus.train.get(source, ())
        if example.category and (example.harm is None or example.harm > 0.5)
        if not (source == "categorised" and category_dev(example.prompt))
    ]
    return found + [replace(e, response=e.prompt) for e in found if not e.response]


def refit_hazards(
    network: PairClassifier, tokenizer: Tokenizer, examples: Sequence[Example], penalty: float = 2.0
) -> None:
    """Fit the hazard heads of ``network`` in place, each to its own labels; the other heads stay.

    Args:
        network: with an encoder that is held.
        tokenizer: of the base model, without truncation and padding.
        examples: with their hazards and weights.
        penalty: of the squared distance to the weights that are there, in nats.

    Raises:
        TrainingError: there are no examples.
    """
    if not examples:
        raise TrainingError("there is no example with a hazard to fit the heads on: check --data")
    states = torch.from_numpy(_states(network, tokenizer, examples))
    weights = torch.tensor([[example.weight] for example in examples])
    targets = torch.tensor([[float(code in (e.category or ())) for code in CODES] for e in examples])
    before = network.heads.weight.detach()[HEADS].clone()
    weight = before.clone().requires_grad_()
    bias = network.heads.bias.detach()[HEADS].clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        fit = binary_cross_entropy_with_logits(states @ weight.T + bias, targets, weights, reduction="sum")
        total = fit + penalty * (weight - before).square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    with torch.no_grad():
        network.heads.weight[HEADS] = weight
        network.heads.bias[HEADS] = bias


def _states(
    network: PairClassifier, tokenizer: Tokenizer, examples: Sequence[Example]
) -> NDArray[np.float32]:
    """What the heads read, [n, 2 * hidden], of the first window of each example."""
    windows = [found[0] for found in windows_of(examples, tokenizer, PAIR_V1)]
    order = sorted(range(len(windows)), key=lambda i: len(windows[i].input_ids))
    states = np.zeros((len(windows), network.heads.in_features), dtype=np.float32)
    seen: list[Tensor] = []
    hook = network.heads.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    try:
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                picked = order[start : start + 32]
                rows = [Encoded(examples[i], windows[i]) for i in picked]
                batch = collate(rows, PAIR_V1.pad_id, 0.0, 0.0)
                network(batch.input_ids, batch.attention_mask, batch.token_type_ids)
                states[picked] = seen.pop().float().numpy()
    finally:
        hook.remove()
    return states
