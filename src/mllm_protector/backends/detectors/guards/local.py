"""A guard's weights on this machine, through the transformers chat model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mllm_protector.backends.detectors.guards.guard import Dialogue, Guard, Question
from mllm_protector.backends.detectors.guards.verdict import NextToken, stripped
from mllm_protector.errors import BackendError, ConfigError, ProtectorError
from mllm_protector.registry import make
from mllm_protector.types import Image, Query

__all__ = ["LocalCompleter"]


class LocalCompleter:
    """Continues texts; one forward pass per next token, in left-padded batches.

    Args:
        guard: the family.
        model: hub id or folder.
        options: of the transformers chat model: ``device``, ``dtype``, ``batch_size``, ``adapter``, ...

    Raises:
        CheckpointError, MissingExtraError: the model cannot be loaded.
        ConfigError: an option is wrong, or the tokenizer does not know the words of the verdict.
    """

    def __init__(self, guard: Guard, model: str, **options: Any) -> None:
        raw = {"template": "raw", "max_new_tokens": max(1, guard.writes), "stop": [guard.lead.strip()]}
        if not guard.writes:
            raw["stop"] = ()
        self._name = guard.name
        self._model: Any = make("chat_models", "transformers", {"model": model, **raw, **options})
        labels = [label.lower() for label in (guard.labels.codes if guard.labels else ())]
        wanted = _Wanted(guard.verdict.words, labels)
        tokenizer = self._model.tokenizer
        texts = tokenizer.batch_decode([[n] for n in range(len(tokenizer))])
        self._tokens = {n: text for n, text in enumerate(texts) if wanted.holds(text)}
        self._ids = np.array(list(self._tokens), dtype=np.int64)
        for word in guard.verdict.words:
            if not any(len(stripped(text)) > 1 and word.startswith(stripped(text)) for text in texts):
                raise ConfigError(f"{guard.name}: the tokenizer of {model} has no token for {word!r}")

    def own_layout(self, question: Question, dialogue: Dialogue) -> str:
        """Lay out by the template that the model brings along.

        Raises:
            BackendError: it has none, or does not take this dialogue.
        """
        if question.messages is None:
            raise BackendError(f"{self._name} is published without a chat template; leave template away")
        try:
            text: str = self._model.tokenizer.apply_chat_template(
                question.messages(dialogue), tokenize=False, add_generation_prompt=True, **question.settings
            )
        except Exception as error:  # whatever a template of others raises
            raise BackendError(f"{self._name}: its chat template failed: {_words(error)}") from error
        return text

    def next(self, inputs: Sequence[tuple[str, tuple[Image, ...]]]) -> list[NextToken]:
        """Return the probabilities of the tokens that may begin a verdict or a label."""
        rows = np.exp(self._run("next_tokens", inputs)[:, self._ids].astype(np.float64))
        found = []
        for row in rows:
            merged: dict[str, float] = {}
            for text, p in zip(self._tokens.values(), row, strict=True):
                merged[text] = merged.get(text, 0.0) + float(p)
            found.append(NextToken(merged))
        return found

    def write(self, inputs: Sequence[tuple[str, tuple[Image, ...]]]) -> list[str]:
        """Return what the model writes, greedily, until the guard's lead."""
        written: list[str] = self._run("generate", inputs)
        return written

    def close(self) -> None:
        """There are no connections here."""

    def _run(self, method: str, inputs: Sequence[tuple[str, tuple[Image, ...]]]) -> Any:
        queries = [Query(text, images) for text, images in inputs]
        try:
            return getattr(self._model, method)(queries)
        except ProtectorError:
            raise
        except (RuntimeError, ValueError, IndexError) as error:
            raise BackendError(f"{self._name}: the model failed: {_words(error)}") from error


class _Wanted:
    """Tells the tokens apart that are looked at."""

    def __init__(self, words: Sequence[str], labels: Sequence[str]) -> None:
        self._words = [*words, *labels]
        self._labels = labels

    def holds(self, token: str) -> bool:
        text = token.lower()
        if text.strip() and any(word.startswith(text.strip()) for word in self._words):
            return True
        return bool(text) and any(text in label[1:] for label in self._labels)  # a label's further piece


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
