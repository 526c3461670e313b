"""Trainer of a detoxifier: a causal language model that writes the safe answer, given the question and the
unsafe one.

Loss: mean of -log p over the tokens of the safe answer (and the end of text), the prompt gives none. The
prompt is laid out by ``rewrite_prompts``, the code that the back-end uses. The result loads as
``detoxifiers: [{name: transformers, options: {model: OUT}}]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mllm_protector.data import TrainingRecord
from mllm_protector.errors import TrainingError
from mllm_protector.networks.harm import pad
from mllm_protector.networks.manifest import DETOXIFIER, TrainedManifest
from mllm_protector.rewrite_prompts import LAYOUTS
from mllm_protector.training.base import Base
from mllm_protector.training.finish import (
    Story,
    begin_folder,
    identity_of,
    licences_of,
    rows_of,
    write_checkpoint,
)
from mllm_protector.training.loop import Totals, fit
from mllm_protector.training.recipe import LoopSettings, RunOptions
from mllm_protector.training.records import split_dev
from mllm_protector.types import Detection, RewriteTask

__all__ = ["DetoxifierSettings", "answer_loss", "teachable", "train"]

_SHORTEST = 100  # characters that a quoted text keeps when it has to give way


@dataclass(frozen=True, slots=True, kw_only=True)
class DetoxifierSettings(LoopSettings):
    """What a detoxifier's training depends on but its data and base model.

    Attributes:
        layout: ``plain`` (ours), ``paper`` (the reference's prompt) or ``chat`` (an instruction in the base
            model's chat template).
        longest: characters of each quoted text, as at run time; the middle of a longer one is left out.
        most_repeats: requests that one safe answer may be given to; more, and it is a stock refusal.
    """

    layout: Literal["plain", "paper", "chat"] = "plain"
    longest: int = 4000
    most_repeats: int = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with the answer to be learned, as token ids."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    weight: float
    place: str


def train(
    settings: DetoxifierSettings,
    records: Sequence[TrainingRecord],
    base: Base,
    out: Path,
    *,
    dev: Sequence[TrainingRecord] | None = None,
    **options: Unpack[RunOptions],
) -> None:
    """Train a detoxifier and write its checkpoint to ``out``; the arguments are those of ``detector.train``.

    Raises:
        TrainingError: the data cannot be learned from, or training cannot go on.
        CheckpointError, ConfigError, OutputError: what is wrong, and its cure.
    """
    run = begin_folder(out, options)
    rows, counts = teachable(records, settings.most_repeats)
    kept = None if dev is None else teachable(dev, settings.most_repeats)[0]
    if kept is None:
        rows, kept = split_dev(rows, settings.dev_share)
    tokenizer = base.tokenizer()
    pairs, cut = encode_pairs(rows, settings, tokenizer)
    if not pairs:
        told = ", ".join(f"{what} {count}" for what, count in counts.items() if count) or "no rows at all"
        raise TrainingError(f"no row has a safe answer to learn from ({told}): check --data")
    looked, _ = encode_pairs(kept, settings, tokenizer)
    torch.manual_seed(settings.seed)
    network = Writer(base.transformer(settings, writes=True))
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    identity = identity_of(settings, base, (records, dev or ()))
    outcome = fit(network, DetoxifierTask(pad_id), pairs, looked, settings, run, identity,
                  options)  # fmt: skip
    if outcome is None or not outcome.weights:
        return
    manifest = TrainedManifest(
        kind=DETOXIFIER, name=out.resolve().name, base=base.name, weights="whole", layout=settings.layout,
        max_length=settings.max_length, licences=licences_of(base, records),
    )  # fmt: skip
    counts = {"rows trained on": len(pairs), **counts, **cut}
    story = Story("detoxifier", base, settings, rows_of(rows), counts, outcome, len(looked))
    write_checkpoint(out, Writer(base.transformer(settings, writes=True)), tokenizer, manifest, story)


def teachable(
    records: Sequence[TrainingRecord], most_repeats: int
) -> tuple[list[TrainingRecord], dict[str, int]]:
    """The records whose safe answer is worth learning, and why others were left out, counted.

    Where both answers of a pair are unsafe the reference teaches one fixed refusal; here such a row has no
    safe answer and teaches nothing. The better answer of a preference is learned.
    """
    asked: dict[str, set[str]] = {}
    for record in records:
        if record.safe_response:
            asked.setdefault(record.safe_response.strip(), set()).add(record.prompt + record.image_text)
    left: Counter[str] = Counter()
    found = []
    for record in records:
        answer = (record.safe_response or "").strip()
        if not answer:
            left["without a safe answer"] += 1
        elif record.harmful is False:
            left["nothing to mend"] += 1
        elif len(asked[answer]) > most_repeats:
            left["stock refusal"] += 1
        else:
            found.append(record)
    names = ("without a safe answer", "nothing to mend", "stock refusal")
    return found, {f"left out, {name}": left[name] for name in names}


def encode_pairs(
    rows: Sequence[TrainingRecord], settings: DetoxifierSettings, tokenizer: Any
) -> tuple[list[Pair], dict[str, int]]:
    """Prompts and answers within ``max_length`` tokens, and how many had to be cut or left out.

    An answer keeps its first ``max_length / 2`` tokens. Then the quoted texts give way: their middle is
    left out, by halves, down to 100 characters; a row that is too long even so is left out.
    """
    if settings.layout == "chat" and not getattr(tokenizer, "chat_template", None):
        raise TrainingError("the base model has no chat template: choose `layout: plain` or `paper`")
    end = tokenizer.eos_token_id
    if end is None:
        raise TrainingError("the base model's tokenizer has no end-of-text token: choose another base")
    found: list[Pair] = []
    counts = {"rows cut to the length": 0, "left out, prompt over the length": 0}
    for row in rows:
        answer = answer_ids(row, settings.layout, tokenizer)
        kept = [*answer[: settings.max_length // 2 - 1], end]
        cut, longest = len(kept) <= len(answer), settings.longest
        prompt = prompt_ids(row, settings.layout, longest, tokenizer)
        while len(prompt) + len(kept) > settings.max_length and longest > _SHORTEST:
            cut, longest = True, max(_SHORTEST, longest // 2)
            prompt = prompt_ids(row, settings.layout, longest, tokenizer)
        if len(prompt) + len(kept) > settings.max_length:
            counts["left out, prompt over the length"] += 1
            continue
        counts["rows cut to the length"] += cut
        found.append(Pair(tuple(prompt), tuple(kept), row.weight, row.place))
    return found, counts


def prompt_ids(row: TrainingRecord, layout: str, longest: int, tokenizer: Any) -> list[int]:
    """The prompt as the back-end lays it out and tokenises it."""
    task = RewriteTask(row.exchange, Detection(1.0), row.categories or ())
    text = LAYOUTS[layout](task, longest)
    begins = True
    if layout == "chat":
        messages = [{"role": "user", "content": text}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        begins = not (tokenizer.bos_token and text.startswith(tokenizer.bos_token))
    ids: list[int] = tokenizer(text, add_special_tokens=begins).input_ids
    return ids


def answer_ids(row: TrainingRecord, layout: str, tokenizer: Any) -> list[int]:
    """The safe answer; behind "Safe answer:" it begins with a space."""
    text = (row.safe_response or "").strip()
    ids: list[int] = tokenizer(f" {text}" if layout == "plain" else text, add_special_tokens=False).input_ids
    return ids


class Writer(nn.Module):
    """A language model under the name that checkpoints use."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer
        self._no_split_modules = getattr(transformer, "_no_split_modules", None)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits [n, t, vocabulary] of rows padded on the right."""
        logits: Tensor = self.transformer(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


@dataclass(frozen=True, slots=True)
class DetoxifierTask:
    """What a detoxifier learns."""

    pad_id: int

    def size(self, row: Pair, /) -> int:
        """Tokens of prompt and answer."""
        return len(row.prompt) + len(row.answer)

    def place(self, row: Pair, /) -> str:
        """File and line."""
        return row.place

    def totals(self, rows: Sequence[Pair], /) -> Totals:
        """Tokens of the answers."""
        return {"answers": sum(len(row.answer) * row.weight for row in rows)}

    def loss(self, network: Any, rows: Sequence[Pair], totals: Totals, device: Any, /) -> Tensor:
        """Cross entropy of the answers' tokens."""
        each = self._each(network, rows, device)
        weights = torch.tensor([row.weight for row in rows], device=device)
        return (each * weights).sum() / max(totals["answers"], 1e-12)

    def measure(self, network: Any, rows: Sequence[Pair], device: Any, /) -> list[tuple[float, ...]]:
        """Sum over the answer's tokens, and their number."""
        each = self._each(network, rows, device)
        return [(float(nll), float(len(row.answer))) for nll, row in zip(each, rows, strict=True)]

    def judge(self, rows: Sequence[Pair], measured: Sequence[tuple[float, ...]], /) -> dict[str, float]:  # noqa: ARG002
        """Mean per token, in nats."""
        return {"loss": sum(m[0] for m in measured) / sum(m[1] for m in measured)}

    def _each(self, network: Any, rows: Sequence[Pair], device: Any) -> Tensor:
        ids, mask = pad([(*row.prompt, *row.answer) for row in rows], self.pad_id, device)
        logits = network(ids, mask)
        return answer_loss(logits, [len(row.prompt) for row in rows], [row.answer for row in rows])


def answer_loss(logits: Tensor, begins: Sequence[int], answers: Sequence[Sequence[int]]) -> Tensor:
    """-log p of each row's answer [n], in nats, summed over its tokens.

    Args:
        logits: [n, t, vocabulary].
        begins: where each answer begins; its first token is predicted one before.
        answers: their token ids; an empty one costs nothing.
    """
    found = []
    for row, (begin, answer) in enumerate(zip(begins, answers, strict=True)):
        if not answer:
            found.append(logits[row, 0, 0].float() * 0.0)
            continue
        wanted = torch.tensor(answer, device=logits.device)
        given = logits[row, begin - 1 : begin - 1 + len(answer)].float()
        found.append(cross_entropy(given, wanted, reduction="sum"))
    return torch.stack(found)
