"""Trainer of the harm detector: load, mix, train, save; reads from top to bottom.

    python -m mllm_protector.training.embedded.detector --recipe R.yaml --data DIR --base DIR --out DIR

Interrupted, the same command goes on from the last checkpoint and ends with the same weights.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from mllm_protector.errors import TrainingError
from mllm_protector.prompts import PAIR_V1, PairTemplate
from mllm_protector.training.embedded.batches import (
    Batch,
    Encoded,
    collate,
    encode,
    length_buckets,
    training_template,
    windows_of,
)
from mllm_protector.training.embedded.categories import category_dev, pseudo_labels
from mllm_protector.training.embedded.examples import Example
from mllm_protector.training.embedded.mixture import Corpus, Share, draw_epoch, load_corpus
from mllm_protector.training.embedded.network import PairClassifier, embed_mean, soup
from mllm_protector.training.embedded.settings import Settings, load_recipe

__all__ = ["load_trained", "logits_of", "train", "train_epochs"]

_log = logging.getLogger(__name__)
STATE, WEIGHTS = "state.pt", "weights.pt"
HARD = "hard_"


def train(
    settings: Settings,
    data: Path,
    base: Path,
    out: Path,
    generated: Sequence[Example],
    start: Sequence[Path] = (),
) -> PairClassifier:
    """Train from the files of ``data`` on the encoder in ``base``; weights go to ``out``.

    With ``start``, folders of finished runs, training goes on from the mean of their weights.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    network = PairClassifier.from_base(base)
    corpus = with_categories(load_corpus(data), network, tokenizer)
    if start:
        network = soup([load_trained(base, run) for run in start]).train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bf16):
        corpus = with_hardest(corpus, settings.shares, network, tokenizer)
    epochs = [
        draw_epoch(corpus, settings.shares, generated, seed=settings.seed, epoch=epoch)
        for epoch in range(settings.epochs)
    ]
    return train_epochs(settings, network, tokenizer, epochs, out)


def train_epochs(
    settings: Settings,
    network: PairClassifier,
    tokenizer: Tokenizer,
    epochs: Sequence[Sequence[Example]],
    out: Path,
    stop_after: int | None = None,
) -> PairClassifier:
    """Train ``network`` in place on the given epochs, resuming from ``out`` if there is a checkpoint.

    Args:
        settings: the recipe.
        network: fresh network.
        tokenizer: of the base model, without truncation and padding.
        epochs: examples of each epoch.
        out: folder for ``state.pt`` (to resume) and ``weights.pt`` (the result).
        stop_after: end early after this step, as if interrupted.

    Raises:
        TrainingError: no data, a loss that is not a number, or ``out`` cannot be written.
    """
    if not any(epochs):
        raise TrainingError("there is nothing to train on: check --data and the recipe")
    template = training_template(PAIR_V1, settings.train_tokens)
    steps = _plan(settings, tokenizer, template, epochs)
    for parameter in network.encoder.embeddings.parameters():
        parameter.requires_grad_(not settings.freeze_embeddings)
    optimizer = torch.optim.AdamW(_groups(network, settings), weight_decay=settings.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: _rate(i, len(steps), settings.warmup))
    average: dict[str, Tensor] = {}
    done = averaged = 0
    if (out / STATE).exists():
        state = torch.load(out / STATE, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["rng"])
        average, done, averaged = state["average"], state["done"], state["averaged"]
        _log.info("resumed at step %d of %d", done, len(steps))
    network.train()
    began, seen, running = time.monotonic(), 0, 0.0
    for i in range(done, len(steps)):
        batch = collate(steps[i], template.pad_id, settings.smoothing, settings.auxiliary)
        loss = _step(network, batch, settings, optimizer)
        scheduler.step()
        if not np.isfinite(loss):
            sources = sorted({row.example.source for row in steps[i]})
            raise TrainingError(f"the loss is {loss} in step {i} (sources {sources}): lower lr and run again")
        if i >= settings.average_from * len(steps):
            averaged += 1
            for name, value in network.state_dict().items():
                average[name] = (
                    average[name] + (value - average[name]) / averaged if averaged > 1 else value.clone()
                )
        seen, running = seen + len(steps[i]), 0.98 * running + 0.02 * loss if i > done else loss
        if i % 20 == 19:
            _log.info(
                "step %d/%d loss %.4f %.1f rows/s",
                i + 1,
                len(steps),
                running,
                seen / (time.monotonic() - began),
            )
        if (i + 1) % settings.checkpoint_every == 0 or i + 1 == stop_after:
            _save(out / STATE, {
                "network": network.state_dict(), "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(), "rng": torch.get_rng_state(),
                "average": average, "done": i + 1, "averaged": averaged,
            })  # fmt: skip
        if i + 1 == stop_after:
            return network
    if averaged:
        network.load_state_dict(average)
    _save(out / WEIGHTS, network.state_dict())
    return network.eval()


def load_trained(base: Path, out: Path) -> PairClassifier:
    """The trained network of ``out``; raises TrainingError if there is none."""
    network = PairClassifier.from_base(base)
    try:
        network.load_state_dict(torch.load(out / WEIGHTS, weights_only=True))
    except OSError as error:
        raise TrainingError(f"{out / WEIGHTS} cannot be read: train first") from error
    return network.eval()


def logits_of(
    network: PairClassifier,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    template: PairTemplate = PAIR_V1,
) -> NDArray[np.float32]:
    """Logits [n, outputs], for every head the largest over the windows of an example."""
    owners, windows = [], []
    for i, found in enumerate(windows_of(examples, tokenizer, template)):
        owners += [i] * len(found)
        windows += found
    result = np.full((len(examples), network.heads.out_features), -np.inf, dtype=np.float32)
    order = sorted(range(len(windows)), key=lambda i: len(windows[i].input_ids))
    with torch.inference_mode():
        for start in range(0, len(order), 32):
            picked = order[start : start + 32]
            batch = collate(
                [Encoded(examples[owners[i]], windows[i]) for i in picked], template.pad_id, 0.0, 0.0
            )
            logits = network(batch.input_ids, batch.attention_mask, batch.token_type_ids).float().numpy()
            for i, row in zip(picked, logits, strict=True):
                result[owners[i]] = np.maximum(result[owners[i]], row)
    return result


def with_categories(corpus: Corpus, network: PairClassifier, tokenizer: Tokenizer) -> Corpus:
    """The corpus with hazards guessed for harmful rows that have none, without the category dev prompts."""
    known = [e for e in corpus.train.get("categorised", ()) if not category_dev(e.prompt)]
    rows = [
        e for es in corpus.train.values() for e in es if (e.harm or 0) > 0.5 and not e.category and e.prompt
    ]
    prompts = sorted(
        {e.prompt for e in rows if e.source not in ("hh_pairs", "diasafety", "jbb_attack_prompts")}
    )

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        found = []
        network.eval()
        for i in range(0, len(texts), 64):
            ids = [e.ids[:64] for e in tokenizer.encode_batch(list(texts[i : i + 64]))]
            width = max(map(len, ids))
            padded = torch.tensor([row + [0] * (width - len(row)) for row in ids])
            found.append(embed_mean(network.encoder, padded, (padded != 0).long()).numpy())
        return np.concatenate(found)

    guessed = pseudo_labels([(e.prompt, e.category or frozenset()) for e in known], prompts, embed)
    train = {
        source: [
            replace(e, category=guessed.get(e.prompt)) if (e.harm or 0) > 0.5 and not e.category else e
            for e in es
        ]
        for source, es in corpus.train.items()
    }
    if "categorised" in train:
        train["categorised"] = known
    return Corpus(train, corpus.held_out)


def with_hardest(
    corpus: Corpus, shares: Mapping[str, Share], network: PairClassifier, tokenizer: Tokenizer
) -> Corpus:
    """The corpus with a source ``hard_X`` for every such share: rows of X that the network errs on most."""
    train = dict(corpus.train)
    for name, share in shares.items():
        if (source := name.removeprefix(HARD)) == name:
            continue
        rows = [example for example in corpus.train.get(source, ()) if example.harm is not None]
        _log.info("looking for the %d hardest of %d rows of %s", share.rows, len(rows), source)
        scores = logits_of(network.eval(), tokenizer, rows)[:, 0]
        errors = np.where([(e.harm or 0.0) > 0.5 for e in rows], -scores, scores)
        train[name] = [rows[i] for i in np.argsort(-errors, kind="stable")[: share.rows]]
    network.train()
    return Corpus(train, corpus.held_out)


def _plan(
    settings: Settings, tokenizer: Tokenizer, template: PairTemplate, epochs: Sequence[Sequence[Example]]
) -> list[list[Encoded]]:
    """The batches of all steps, in order."""
    steps = []
    for epoch, examples in enumerate(epochs):
        rng = random.Random(f"{settings.seed}/{epoch}/order")  # noqa: S311
        rows = encode(examples, tokenizer, template, rng)
        batches = length_buckets([len(r.window.input_ids) for r in rows], settings.batch_size, rng)
        steps += [[rows[i] for i in picked] for picked in batches]
    return steps


def _step(
    network: PairClassifier, batch: Batch, settings: Settings, optimizer: torch.optim.Optimizer
) -> float:
    """One update; returns the loss."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bf16):
        logits = network(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.float(), batch.targets, reduction="none"
    )
    weighted = each * batch.weights
    known = (batch.weights > 0).float()
    # Heads are averaged over their own known labels, so a batch with few of them still counts.
    loss = weighted[:, 0].sum() / known[:, 0].sum().clamp(min=1)
    loss = loss + weighted[:, 1:].sum() / known[:, 1:].sum().clamp(min=64) * 4
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
    optimizer.step()
    return float(loss.detach())


def _groups(network: PairClassifier, settings: Settings) -> list[dict[str, Any]]:
    layers = list(network.encoder.encoder.layer)
    groups: list[dict[str, Any]] = [{"params": list(network.heads.parameters()), "lr": settings.head_lr}]
    for depth, layer in enumerate(reversed(layers)):
        groups.append({"params": list(layer.parameters()), "lr": settings.lr * settings.layer_decay**depth})
    if not settings.freeze_embeddings:
        lowest = settings.lr * settings.layer_decay ** len(layers)
        groups.append({"params": list(network.encoder.embeddings.parameters()), "lr": lowest})
    return groups


def _rate(step: int, total: int, warmup: float) -> float:
    rise = max(1, int(total * warmup))
    return (step + 1) / rise if step < rise else max(0.0, (total - step) / max(1, total - rise))


def _save(path: Path, state: Mapping[str, Any]) -> None:
    """Write whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(dict(state), part)
        os.replace(part, path)
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be written ({error.strerror}): free space, then run again"
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the trainer."""
    from mllm_protector.training.embedded.generated import generated_examples

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("recipe", "data", "base", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--start",
        type=Path,
        action="append",
        default=[],
        help="run to go on from; of several, their mean",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = load_recipe(options.recipe)
    train(settings, options.data, options.base, options.out, generated_examples(settings.seed), options.start)


if __name__ == "__main__":
    main()
