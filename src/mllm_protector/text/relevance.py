"""Whether a rewrite still speaks of what was asked, in words: lexical, cheap, and blind to synonyms."""

from __future__ import annotations

import re

__all__ = ["content_words", "relevance"]

_WORD = re.compile(r"[^\W\d_]{4,}")
_STEM = 5
_STOP = frozenset(
    [
        "this",
        "that",
        "these",
        "those",
        "with",
        "from",
        "have",
        "what",
        "when",
        "where",
        "which",
        "your",
        "about",
        "into",
        "some",
        "more",
        "other",
        "would",
        "could",
        "should",
        "there",
        "their",
        "them",
        "they",
        "then",
        "than",
        "image",
        "shows",
        "list",
        "lists",
        "items",
        "please",
        "complete",
        "following",
        "each",
        "detailed",
        "content",
        "generate",
        "item",
        "approximately",
        "words",
        "numbered",
        "empty",
        "steps",
        "ways",
        "give",
        "provide",
    ]
)


def relevance(request: str, response: str) -> float | None:
    """Return the share of the request's content words whose beginning is in the response.

    Content words have four letters or more and are no common ones; two words count as one if their first
    five letters agree. None if the request has none.
    """
    asked = content_words(request)
    if not asked:
        return None
    return len(asked & content_words(response)) / len(asked)


def content_words(text: str) -> set[str]:
    """Return the beginnings of the content words of ``text``, five letters each."""
    return {word[:_STEM] for word in _WORD.findall(text.lower()) if word not in _STOP}
