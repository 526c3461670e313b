"""What one text took over from another, in runs of words (pure, linear in the words)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mllm_protector.text.sentences import split_sentences

__all__ = ["copied_share", "copies_run", "kept_sentences", "word_list"]

# A character of a script without spaces counts as a word.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")


def word_list(text: str) -> list[str]:
    """Return the words of ``text``, case folded, without punctuation."""
    return _WORD.findall(text.casefold())


def copies_run(source: str, text: str, length: int, given: str = "") -> str:
    """Return a run of ``length`` words of ``source`` that stands in ``text`` too, "" if there is none.

    Args:
        source: the text that must not be repeated.
        text: where it might be.
        length: words, at least 1.
        given: what may be repeated (the request): runs that stand there too do not count.
    """
    if length < 1:
        raise ValueError(f"a run has at least one word, not {length}")
    written = _runs(word_list(text), length)
    if not written:
        return ""
    asked = _runs(word_list(given), length)
    words = word_list(source)
    for start in range(len(words) - length + 1):
        run = tuple(words[start : start + length])
        if run in written and run not in asked:
            return " ".join(run)
    return ""


def copied_share(source: str, text: str, run: int = 8) -> float:
    """Return the share in [0, 1] of the words of ``source`` that ``text`` has in runs of ``run`` or more.

    A source shorter than a run counts as one run. 0.0 for a source without words.
    """
    words, found = word_list(source), word_list(text)
    if not words:
        return 0.0
    length = min(run, len(words))
    written = _runs(found, length)
    reached, copied = 0, 0
    for start in range(len(words) - length + 1):
        if tuple(words[start : start + length]) in written:
            copied += start + length - max(start, reached)
            reached = start + length
    return copied / len(words)


def kept_sentences(source: str, text: str) -> str:
    """Return the sentences of ``text`` that stand in ``source`` as they are; "" if they are all or none."""
    pieces = split_sentences(text)
    kept = [piece for piece in pieces if piece.strip() in source]
    return "".join(kept).strip() if any(p.strip() for p in kept) and len(kept) < len(pieces) else ""


def _runs(words: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}
