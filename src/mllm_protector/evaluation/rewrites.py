"""Measures of one rewrite by rules: does it read as a text, what did it keep, do they differ.

Pure functions of texts. Harm and embedding similarity need models and are measured elsewhere; what is
here needs none, so that two people who measure get the same figure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from mllm_protector.text.overlap import word_list
from mllm_protector.text.sentences import split_sentences

__all__ = ["distinct_share", "flaws", "kept_share"]

_ITEM = re.compile(r"^[ \t]*(\d{1,3})[.)][ \t]+\S", re.MULTILINE)
_EMPTY_ITEM = re.compile(r"^[ \t]*(?:\d{1,3}[.)]|[-*•])[ \t]*$", re.MULTILINE)
_OPENING = re.compile(
    r"(?:However|Then|Therefore|Also|But|And|So|Moreover|Furthermore|Additionally|Next|Instead|Otherwise)\b"
)
_PRONOUN = re.compile(r"(?:They|It|These|Those|This|That|He|She|Doing (?:so|this|that))\b")
_INTRO = re.compile(r":[*_]*[ \t]*\n\s*(?=\S)")
_LISTED = re.compile(r"(?:[-*•–+]|\d{1,3}[.)]|[a-zA-Z][.)]|[|`~#>*_\"“])")
_MARKS = re.compile(r"^[\s*_#>\-•+]*(?:\d{1,3}[.)]\s*)?[*_]*")


def flaws(text: str, original: str = "") -> tuple[str, ...]:
    """Return the names of the signs that ``text`` does not read as one; () is fluent.

    What the original had too is not the rewrite's fault and is not counted. Args:
        text: the rewrite.
        original: what it was made from.
    """
    return tuple(name for name, count in _SIGNS.items() if count(text) > count(original))


def _jumps(text: str) -> int:
    """List numbers that neither follow the one before nor start a list anew."""
    numbers = [int(match[1]) for match in _ITEM.finditer(text)]
    first = bool(numbers) and numbers[0] > 1
    return first + sum(b not in (a + 1, 1, a) for a, b in pairwise(numbers))


def _empty_items(text: str) -> int:
    return len(_EMPTY_ITEM.findall(text))


def _half_end(text: str) -> int:
    """Half sentences at the end of the text, or of the paragraph before it (a rewrite ends with a note)."""
    parts = text.rstrip().split("\n\n")
    return sum(part.rstrip().endswith((",", ";")) for part in parts[-2:]) + text.rstrip().endswith(":")


def _lonely_intros(text: str) -> int:
    """Lines that end in a colon and introduce no list, table, code or quotation."""
    alone = 0
    for match in _INTRO.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        heading = line.lstrip().startswith(("#", "*", "_")) or len(line.split()) < 5
        alone += not heading and _LISTED.match(text, match.end()) is None and text[match.end()] == "("
    return alone


def _dangling_opening(text: str) -> int:
    return int(_OPENING.match(text.lstrip()) is not None)


def _dangling_pronoun(text: str) -> int:
    """Whether the text begins with a pronoun that nothing before it explains."""
    return int(_PRONOUN.match(text.lstrip()) is not None)


def _open_code(text: str) -> int:
    return text.count("```") % 2


def _open_bold(text: str) -> int:
    return sum(part.count("**") % 2 for part in text.split("\n\n"))


def _doubled(text: str) -> int:
    """A sentence of five words or more that stands twice."""
    said = [" ".join(word_list(s)) for s in split_sentences(text) if len(s.split()) >= 5]
    return len(said) - len(set(said))


def _garbled(text: str) -> int:
    """The same word three times in a row, which weak generators write."""
    words = word_list(text)
    return sum(a == b == c for a, b, c in zip(words, words[1:], words[2:], strict=False))


_SIGNS: dict[str, Callable[[str], int]] = {
    "list numbers": _jumps,
    "empty item": _empty_items,
    "half sentence": _half_end,
    "intro without list": _lonely_intros,
    "dangling opening": _dangling_opening,
    "dangling pronoun": _dangling_pronoun,
    "open code block": _open_code,
    "open bold": _open_bold,
    "sentence twice": _doubled,
    "word thrice": _garbled,
}


def kept_share(original: str, text: str) -> float:
    """Return the share of the sentences of ``original`` that stand in ``text``; 1.0 of none.

    Sentences of three words or more count. List number, markup and the first two words of a longer
    sentence are not compared: renumbering and taking a connective off keep what was said.
    """
    sentences = [s.strip() for s in split_sentences(original) if len(s.split()) >= 3]
    kept = sum(_tail(sentence) in text for sentence in sentences)
    return kept / len(sentences) if sentences else 1.0


def _tail(sentence: str) -> str:
    words = _MARKS.sub("", sentence, count=1).split(" ")
    return " ".join(words[2:] if len(words) > 4 else words)


def distinct_share(texts: Sequence[str], groups: Iterable[str]) -> dict[str, float]:
    """Return per group (a hazard category, say) the share of its texts that are distinct from each other.

    Raises:
        ValueError: there is not one group per text.
    """
    members: dict[str, list[str]] = {}
    for text, group in zip(texts, groups, strict=True):
        members.setdefault(group, []).append(text)
    return {group: len(set(found)) / len(found) for group, found in sorted(members.items())}
