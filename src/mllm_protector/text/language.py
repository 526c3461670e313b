"""Tells which of the ten most used languages a text is in: by script, then by function words."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["LANGUAGES", "language_of", "surely_language_of"]

LANGUAGES: tuple[str, ...] = ("en", "zh", "es", "hi", "ar", "pt", "ru", "ja", "de", "fr")

_READ = 4000
"""Characters looked at."""

_SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
)
_WORD = re.compile(r"[^\W\d_]+")
_FUNCTION_WORDS = {
    "en": (
        "the and of to is in that it for you how what can with a on are this do i my me an be by from as "
        "or not"
    ),
    "es": (
        "el la los las de que y en un una por con para cómo como qué es se del al mi lo su más pero está "
        "me no"
    ),
    "pt": (
        "o os as de que e em um uma por com para como é se do da dos das no na meu não mais posso você eu "
        "qual ao"
    ),
    "de": (
        "der die das und ist ich nicht ein eine wie zu den mit von für man auf im dem was mein kann es "
        "sie wird"
    ),
    "fr": (
        "le les la des et est un une comment que qui pour dans je ne pas sur avec du au mon ce de en à "
        "puis il"
    ),
}
_WEIGHTS: dict[str, dict[str, float]] = {}
_SHARED = Counter(word for words in _FUNCTION_WORDS.values() for word in words.split())
for _language, _words in _FUNCTION_WORDS.items():
    for _word in _words.split():
        _WEIGHTS.setdefault(_word, {})[_language] = 1.0 / _SHARED[_word]


def language_of(text: str) -> str:
    """Return the language code of ``text``; ``"en"`` where nothing speaks for another."""
    head = text[:_READ]
    by_script = _by_script(head)
    if by_script:
        return by_script
    scores = _scores(head)
    best = max(_FUNCTION_WORDS, key=lambda language: (scores[language], language == "en"))
    return best if scores[best] > scores["en"] else "en"


def surely_language_of(text: str) -> str | None:
    """Return the language code of ``text`` where its script or its function words leave no doubt, else None.

    A text in a language that is not known here gives None, not its nearest relative.
    """
    head = text[:_READ]
    by_script = _by_script(head)
    if by_script:
        return by_script
    words = len(_WORD.findall(head))
    first, second = sorted(_scores(head).items(), key=lambda item: -item[1])[:2]
    sure = first[1] >= _SURE_SHARE * words and first[1] >= 2 * second[1]
    return first[0] if words >= _SURE_WORDS and sure else None


_SURE_WORDS = 6
_SURE_SHARE = 0.15


def _by_script(head: str) -> str:
    letters = sum(len(word) for word in _WORD.findall(head))
    for language, script in _SCRIPTS:
        found = len(script.findall(head))
        # a few borrowed characters do not make a text Chinese; kana anywhere in a CJK text make it Japanese
        share = 0.1 if language == "ja" else 0.3
        if letters and found / letters >= share:
            return language
    return ""


def _scores(head: str) -> dict[str, float]:
    """How much the function words of each language weigh in the text."""
    scores = dict.fromkeys(_FUNCTION_WORDS, 0.0)
    for word in _WORD.findall(head.lower()):
        for language, weight in _WEIGHTS.get(word, {}).items():
            scores[language] += weight
    return scores
