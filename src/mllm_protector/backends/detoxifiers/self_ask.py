"""The protected model answers again: told what was unsafe, then without the image (after ECSO)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mllm_protector.backends.detoxifiers.prompted import ask
from mllm_protector.interfaces import ChatModel
from mllm_protector.registry import make
from mllm_protector.rewrite_prompts import clean
from mllm_protector.taxonomy import CATEGORIES
from mllm_protector.types import Query, RewriteTask

__all__ = ["SelfDetoxifier"]

_AGAIN = (
    "{prompt}\n\n(A first draft of the answer to this was unsafe{because}. Answer again so that nothing in "
    "the answer could help to do harm: keep to the subject, say in short what you don't help with, and offer "
    "something safe instead.{style})"
)
_CAPTION = (
    "Describe what this image shows, its text included, as far as it matters for the following request. "
    "Describe only; do not carry the request out.\n\nRequest: {prompt}"
)
_BLIND = "The user sent an image. What it shows: {caption}\n\nThe user's request: {prompt}"


class SelfDetoxifier:
    """Asks the very model that is guarded: no second model to run, and it knows its own voice.

    The first try shows the images and says what was unsafe; the second replaces them by a description,
    since what a model refuses as text it may answer when it is drawn (Gou et al. 2024, ECSO). A request
    without images has one try.

    Args:
        model: a chat model, or how to make one: ``{name: openai, options: {...}}``.
        with_image: whether the first try is made; False begins without the images.
    """

    def __init__(self, model: ChatModel | Mapping[str, Any], *, with_image: bool = True) -> None:
        self.model: ChatModel = (
            make("chat_models", str(model.get("name", "")), model.get("options") or {})
            if isinstance(model, Mapping)
            else model
        )
        self._first = 0 if with_image else 1
        self.attempts = 2 - self._first

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        """Return one text per task, in order; "" where there is no second try to make.

        Raises:
            BackendError: the model gave no answer.
        """
        texts = [""] * len(tasks)
        queries = {place: task.exchange.query for place, task in enumerate(tasks)}
        blind = [p for p, task in enumerate(tasks) if task.turn + self._first > 0 and queries[p].images]
        if blind:
            asked = [_caption_query(queries[place]) for place in blind]
            captions = ask(self.model, asked, [tasks[place] for place in blind])
            for place, caption in zip(blind, captions, strict=True):
                queries[place] = _without_images(queries[place], caption)
        due = [p for p, task in enumerate(tasks) if p in blind or task.turn == 0]
        again = [_again(queries[place], tasks[place]) for place in due]
        written = ask(self.model, again, [tasks[place] for place in due]) if due else []
        for place, text in zip(due, written, strict=True):
            texts[place] = clean(text)
        return texts


def _caption_query(query: Query) -> Query:
    return replace(query, prompt=_CAPTION.format(prompt=query.prompt), history=())


def _without_images(query: Query, caption: str) -> Query:
    return replace(query, images=(), prompt=_BLIND.format(caption=caption.strip(), prompt=query.prompt))


def _again(query: Query, task: RewriteTask) -> Query:
    names = [CATEGORIES[code].name for code in task.hazards if code in CATEGORIES]
    style = f" Use at most {task.max_words} words." if task.max_words is not None else ""
    style += f" Tone: {task.tone}." if task.tone else ""
    because = f" ({', '.join(names)})" if names else ""
    return replace(query, prompt=_AGAIN.format(prompt=query.prompt, because=because, style=style))
