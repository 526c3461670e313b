"""Any Hugging Face sequence classifier as a harm detector, with or without a LoRA adapter.

Which label is harmful is said by whoever configures it, or by an unmistakable label name; it is never
guessed. Long responses are read in windows of tokens, and the worst window counts.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from mllm_protector.backends.detectors.heads import Head
from mllm_protector.backends.detectors.windows import Place
from mllm_protector.errors import BackendError, CheckpointError, ConfigError, MissingExtraError
from mllm_protector.text.normalise import replace_surrogates
from mllm_protector.types import Detection, Exchange, Span

__all__ = ["PAIR", "SequenceClassifier"]

PAIR = "pair"
"""The template that gives prompt and response as the two segments of a pair."""

_HOLE = re.compile(r"\{(prompt|response)\}")
_SPAN = 0.3  # harm from which a window of a long response is told as a span


class SequenceClassifier:
    """P(harmful) from a classification head. Safe to call from several threads.

    Args:
        model: hub id or folder; with ``base``, that of a LoRA adapter that holds the head.
        base: the model that the adapter was trained on.
        harmful: labels that mean harm (names or numbers); None takes those whose name says so.
        safe: labels that mean no harm, instead of ``harmful``: the harm is what they leave over.
        logit: what the one logit of a one-label head stands for, ``harmful`` or ``safe``.
        template: ``pair``, or a text with ``{response}`` and perhaps ``{prompt}`` in it.
        labels: label -> native hazard category or categories, for heads that tell them apart.
        names: the labels in order, where the model's own configuration does not name them.
        several: labels do not exclude each other (a sigmoid each); None asks the configuration.
        outputs: number of labels of a head that comes with an adapter.
        max_length: tokens of one input.
        batch_size: inputs run together.
        device: ``cpu``, ``cuda``, ...; ``auto`` takes CUDA where there is one.
        dtype: ``auto`` (as saved), ``float32``, ``bfloat16`` or ``float16``.
        revision: branch, tag or commit on the hub.

    Raises:
        CheckpointError: the model is not there, cannot be loaded, or has no trained head.
        ConfigError: it is not clear what is harmful, or an argument is out of its range.
        MissingExtraError: an adapter needs peft.
    """

    def __init__(
        self,
        model: str,
        *,
        base: str | None = None,
        harmful: str | int | Sequence[str | int] | None = None,
        safe: str | int | Sequence[str | int] | None = None,
        logit: str = "harmful",
        template: str = PAIR,
        labels: Mapping[str, str | Sequence[str]] | None = None,
        names: Sequence[str] | None = None,
        several: bool | None = None,
        outputs: int | None = None,
        max_length: int = 512,
        batch_size: int = 16,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
    ) -> None:
        if dtype not in ("auto", "float32", "bfloat16", "float16"):
            raise ConfigError(f"dtype {dtype!r} is none of auto, float32, bfloat16, float16")
        if max_length < 16 or batch_size < 1 or logit not in ("harmful", "safe"):
            raise ConfigError("max_length is at least 16, batch_size at least 1, logit is harmful or safe")
        if template != PAIR and "{response}" not in template:
            raise ConfigError("template is `pair`, or a text with {response} in it")
        self._template, self._max, self._batch = template, max_length, batch_size
        self._device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._tokenizer, self._model = _load(model, base, outputs, dtype, revision)
        self._model.to(self._device)
        config = self._model.config
        count = int(config.num_labels)
        known = list(names) if names is not None else [str(config.id2label.get(n, n)) for n in range(count)]
        if len(known) != count:
            raise ConfigError(f"names has {len(known)} labels, the head of {model} has {count}")
        if several is None:
            several = config.problem_type == "multi_label_classification"
        self._head = Head(known, harmful=harmful, safe=safe, logit=logit, several=several, labels=labels)
        self._lock = threading.Lock()

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one detection per exchange, in order; an empty response has no harm.

        Raises:
            BackendError: the model failed.
        """
        inputs = [self._inputs(exchange) for exchange in exchanges]
        flat = [pair for each in inputs for _, pair in each]
        order = sorted(range(len(flat)), key=lambda n: sum(map(len, flat[n])))
        scores: list[NDArray[np.float64]] = [np.empty(0)] * len(flat)
        for start in range(0, len(order), self._batch):
            chosen = order[start : start + self._batch]
            for n, row in zip(chosen, self._run([flat[n] for n in chosen]), strict=True):
                scores[n] = row
        found, at = [], 0
        for each in inputs:
            found.append(self._detection([p for p, _ in each], scores[at : at + len(each)]))
            at += len(each)
        return found

    def _run(self, inputs: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
        """Return the logits of a batch, [n, labels]."""
        columns = [list(column) for column in zip(*inputs, strict=True)]
        try:
            with self._lock, torch.inference_mode():
                batch = self._tokenizer(
                    *columns, padding=True, truncation=True, max_length=self._max, return_tensors="pt"
                )
                logits = self._model(**batch.to(self._device)).logits.float().cpu().numpy()
        except (RuntimeError, ValueError, IndexError) as error:
            words = " ".join(str(error).split())[:200]
            raise BackendError(f"the sequence classifier failed: {words}") from error
        return np.asarray(logits, dtype=np.float64)

    def _inputs(self, exchange: Exchange) -> list[tuple[Place, tuple[str, ...]]]:
        """The windows of a response, laid out; none if it is empty."""
        response = replace_surrogates(exchange.response)
        if not response.strip():
            return []
        prompt = self._shortened(_asked(exchange), self._max // 3)
        fixed = self._count(*self._laid_out(prompt, "")) + 2
        size = max(8, self._max - fixed)
        places = self._places(response, size)
        return [(p, self._laid_out(prompt, response[p.start : p.end])) for p in places]

    def _laid_out(self, prompt: str, response: str) -> tuple[str, ...]:
        if self._template == PAIR:
            return (prompt, response)
        texts = {"prompt": prompt, "response": response}
        return (_HOLE.sub(lambda match: texts[match[1]], self._template),)

    def _count(self, *texts: str) -> int:
        return len(self._tokenizer(*texts).input_ids)

    def _shortened(self, text: str, most: int) -> str:
        """The first and the last tokens of a text that has more than ``most``."""
        offsets = self._offsets(text)
        if len(offsets) <= most:
            return text
        head = most * 2 // 3
        return f"{text[: offsets[head - 1][1]]} ... {text[offsets[head - most][0] :]}"

    def _places(self, text: str, size: int) -> list[Place]:
        """Ranges of at most ``size`` tokens that share an eighth with their neighbour."""
        offsets = self._offsets(text)
        step = size - size // 8
        starts = range(0, max(1, len(offsets) - size // 8), step) if len(offsets) > size else (0,)
        ends = [min(start + size, len(offsets)) for start in starts]
        return [
            Place(offsets[a][0] if a else 0, offsets[b - 1][1] if b < len(offsets) else len(text))
            for a, b in zip(starts, ends, strict=True)
        ]

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        given = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False)
        return [(int(a), int(b)) for a, b in given.offset_mapping]

    def _detection(self, places: Sequence[Place], logits: Sequence[NDArray[np.float64]]) -> Detection:
        harms = [self._head.harm(row) for row in logits]
        categories: dict[str, float] = {}
        for row in logits:
            for code, p in self._head.categories(row).items():
                categories[code] = max(p, categories.get(code, 0.0))
        spans = [Span(p.start, p.end, harm) for p, harm in zip(places, harms, strict=True) if harm >= _SPAN]
        return Detection(max(harms, default=0.0), categories, tuple(spans) if len(places) > 1 else ())


def _load(
    model: str, base: str | None, outputs: int | None, dtype: str, revision: str | None
) -> tuple[Any, Any]:
    options: dict[str, Any] = {"dtype": "auto" if dtype == "auto" else getattr(torch, dtype)}
    if outputs is not None:
        options["num_labels"] = outputs
    auto: Any = transformers.AutoModelForSequenceClassification
    read: Any = transformers.AutoTokenizer
    try:
        if base is None:
            network, told = auto.from_pretrained(
                model, revision=revision, output_loading_info=True, **options
            )
            if any(key.startswith(("score", "classifier")) for key in told["missing_keys"]):
                raise CheckpointError(f"{model} has no trained classification head; give one that has")
            tokenizer = read.from_pretrained(model, revision=revision)
        else:
            network = _adapted(auto.from_pretrained(base, **options), model, revision)
            tokenizer = read.from_pretrained(base)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "peft":
            raise MissingExtraError(
                "an adapter needs peft; pip install 'mllm-protector[transformers]'"
            ) from error
        words = " ".join(str(error).split())[:300]
        raise CheckpointError(f"the sequence classifier {model!r} cannot be loaded: {words}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    # A causal model's head reads the last token that is no padding, so it has to know what padding is.
    network.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    network.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, network.eval().requires_grad_(False)


def _adapted(network: Any, adapter: str, revision: str | None) -> Any:
    import peft

    at: Any = {} if revision is None else {"revision": revision}
    weights = peft.load_peft_weights(adapter, device="cpu", **at)
    if not any("score" in name or "classifier" in name for name in weights):
        raise CheckpointError(
            f"the adapter {adapter} holds no classification head; its scores would be random"
        )
    return peft.PeftModel.from_pretrained(network, adapter, revision=revision).merge_and_unload()


def _asked(exchange: Exchange) -> str:
    """The request with the last earlier user turn and the text in the images."""
    query = exchange.query
    earlier = [turn.content for turn in query.history if turn.role == "user" and turn.content.strip()][-1:]
    texts = (*earlier, query.prompt, query.image_text)
    return replace_surrogates("\n".join(text for text in texts if text.strip()))
