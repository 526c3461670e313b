"""Whether a rewrite still speaks to the request: by its words, or by the subject it is about.

A good rewrite of a harmful answer often avoids the very words of the request. So two ways lead to
relevance: the share of the request's content words that the rewrite has, and the share of the words of
the request's subject (the same tables that the embedded detoxifier answers from). On the requests and
safe answers of training rows, words tell a request's own answer from another's better than averaged
word vectors did (AUROC 0.98 against 0.97 on benign answers; see design 016), so no vectors are shipped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from mllm_protector.backends.detoxifiers.answers import hazards_of
from mllm_protector.backends.detoxifiers.subjects import GENERAL, Subject, focus, subject_of
from mllm_protector.text.language import language_of
from mllm_protector.text.relevance import content_words, relevance
from mllm_protector.types import Query, RewriteTask

__all__ = ["EmbeddedRelevance"]

_ENOUGH = 5
"""Words of the subject that make a text be about it."""

_SHORT = 4
"""A request of fewer content words leans on what was said before."""

_SPACELESS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


class EmbeddedRelevance:
    """Needs no model; English is measured by words and subject, other languages by words alone."""

    def relevance(self, tasks: Sequence[RewriteTask], texts: Sequence[str], /) -> list[float | None]:
        """Return per rewrite a value in [0, 1]; None where the request says too little to tell."""
        return [_relevance(task, text) for task, text in zip(tasks, texts, strict=True)]


def _relevance(task: RewriteTask, text: str) -> float | None:
    request = _request(task.exchange.query)
    by_words = relevance(request, text)
    if by_words is None or _SPACELESS.search(request):
        return None
    if language_of(request) != "en":
        return by_words or None  # nothing in common is no proof: there is no subject table to ask
    said = content_words(text)
    hazards = hazards_of(task)
    subjects = [subject_of(focus(request), hazards), *(GENERAL[c] for c in hazards[:1] if c in GENERAL)]
    by_subject = max(len(_vocabulary(subject) & said) for subject in subjects) / _ENOUGH
    return max(by_words, min(1.0, by_subject) / 2)


def _request(query: Query) -> str:
    request = f"{query.prompt}\n{query.image_text}".strip()
    turns = [turn.content for turn in query.history if turn.role == "user"]
    return f"{turns[-1]}\n{request}" if turns and len(content_words(request)) < _SHORT else request


@cache
def _vocabulary(subject: Subject) -> frozenset[str]:
    """The beginnings of the words that a text on the subject uses; openers and the tables' glue aside."""
    return frozenset(content_words(subject.act) | content_words(" ".join(subject.whys)))
