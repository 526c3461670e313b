"""Tells which of the ten most used languages a text is in: by script, then by function words."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["LANGUAGES", "language_of"]

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
    letters = sum(len(word) for word in _WORD.findall(head))
    for language, script in _SCRIPTS:
        found = len(script.findall(head))
        # a few borrowed characters do not make a text Chinese; kana anywhere in a CJK text make it Japanese
        share = 0.1 if language == "ja" else 0.3
        if letters and found / letters >= share:
            return language
    scores = dict.fromkeys(_FUNCTION_WORDS, 0.0)
    for word in _WORD.findall(head.lower()):
        for language, weight in _WEIGHTS.get(word, {}).items():
            scores[language] += weight
    best = max(_FUNCTION_WORDS, key=lambda language: (scores[language], language == "en"))
    return best if scores[best] > scores["en"] else "en"
