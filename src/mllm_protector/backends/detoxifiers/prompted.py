"""Detoxifiers that ask a language model: any endpoint, any causal model, the paper's adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mllm_protector.errors import ConfigError
from mllm_protector.interfaces import ChatModel
from mllm_protector.networks.manifest import DETOXIFIER, TrainedManifest, kind_of_folder, verify_trained
from mllm_protector.registry import make
from mllm_protector.rewrite_prompts import LAYOUTS, STOPS, clean
from mllm_protector.suggest import nearest
from mllm_protector.types import Query, RewriteTask

__all__ = ["PromptedDetoxifier", "ask", "openai_detoxifier", "transformers_detoxifier"]


class PromptedDetoxifier:
    """Asks a chat model for a safe answer; the harmful one is passed as quoted data.

    Args:
        model: who writes.
        layout: ``chat``, ``paper`` or ``plain`` (see ``rewrite_prompts``).
        attempts: tries per response; later ones are told why the last was rejected.
        longest: characters of each quoted text; the middle of a longer one is left out.

    Raises:
        ConfigError: the layout is unknown, or a number is out of its range.
    """

    def __init__(
        self, model: ChatModel, *, layout: str = "chat", attempts: int = 2, longest: int = 8000
    ) -> None:
        if layout not in LAYOUTS:
            raise ConfigError(f"unknown layout {layout!r}{nearest(layout, LAYOUTS)}")
        if attempts < 1 or longest < 100:
            raise ConfigError("attempts is at least 1, longest at least 100")
        self.attempts = attempts
        self.model = model
        self._prompt, self._longest = LAYOUTS[layout], longest

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        """Return one text per task, in order.

        Raises:
            BackendError: the model gave no answer.
        """
        queries = [Query(self._prompt(task, self._longest)) for task in tasks]
        return [clean(text) for text in ask(self.model, queries, tasks)]


def ask(model: ChatModel, queries: Sequence[Query], tasks: Sequence[RewriteTask]) -> list[str]:
    """Ask a chat model, within the time that the tasks have left where it can be told."""
    limits = [task.seconds for task in tasks if task.seconds is not None]
    within = getattr(model, "generate_within", None)
    if limits and callable(within):
        answers: list[str] = within(queries, min(limits))
        return answers
    return model.generate(queries)


def openai_detoxifier(
    *, attempts: int = 2, longest: int = 8000, timeout: float = 30.0, retries: int = 2, **options: Any
) -> PromptedDetoxifier:
    """Return a detoxifier over an OpenAI-compatible endpoint; ``options`` are those of the chat model.

    What it cost is counted in ``.model.usage``. The first try is greedy; a second one differs because it is
    told what was wrong.
    """
    model = make("chat_models", "openai", {"timeout": timeout, "retries": retries, **options})
    return PromptedDetoxifier(model, attempts=attempts, longest=longest)


def transformers_detoxifier(
    model: str,
    *,
    layout: str | None = None,
    attempts: int = 1,
    longest: int = 4000,
    base: str | None = None,
    **options: Any,
) -> PromptedDetoxifier:
    """Return a detoxifier over a causal language model; ``options`` are those of the chat model.

    Args:
        model: hub id or folder; with ``base``, that of a LoRA adapter.
        layout: ``paper`` for the paper's checkpoints; None takes what a checkpoint trained here was trained
            with, and ``chat`` for other models.
        attempts: as for ``PromptedDetoxifier``.
        longest: as for ``PromptedDetoxifier``.
        base: the model that the adapter was trained on.
        options: ``device``, ``dtype``, ``four_bit``, ``max_new_tokens``, ``batch_size``, ...
    """
    trained = _trained(model)
    if trained is not None:
        layout = layout or trained.layout
        base = base or (trained.base if trained.weights == "adapter" else None)
    layout = layout or "chat"
    raw = {} if layout == "chat" else {"template": "raw", "stop": STOPS}
    weights = {"model": model} if base is None else {"model": base, "adapter": model}
    chat = make("chat_models", "transformers", {**raw, **weights, **options})
    return PromptedDetoxifier(chat, layout=layout, attempts=attempts, longest=longest)


def _trained(model: str) -> TrainedManifest | None:
    """What the checkpoint of a detoxifier trained here says of itself, None for any other model."""
    return verify_trained(model, DETOXIFIER) if kind_of_folder(model) is not None else None
