"""Spelling tricks: spaced-out letters, leetspeak, repeated letters, words run together.

Each is undone only where the result is English; "mp3", "4x4", "U.S.A." and part numbers stay.
"""

from __future__ import annotations

import re
from itertools import product

from mllm_protector.text.lexicon import is_word, ranks, segment

__all__ = ["join_spaced", "split_unspaced", "undo_leet", "undo_repeats"]

_SPACED = re.compile(r"(?<![^\W_])[A-Za-z](?:[ \t\n]{1,3}[A-Za-z](?![^\W_]|['’])){3,400}")
_SEPARATED = re.compile(r"(?<![^\W_])[A-Za-z]([.\-_*/|~+·•,])[A-Za-z](?:\1[A-Za-z]){1,400}(?![^\W_])")
_PAIR = re.compile(r"(?<![^\W_])([A-Za-z])([.\-_*/|~+·•,])([A-Za-z])(?![^\W_])")
_GAP = re.compile(r"[ \t\n]{2,3}")


def join_spaced(text: str) -> str:
    """Rejoin "h o w  t o", "h.o.w t.o" and "h-o-w" where letters become words."""
    text = _SPACED.sub(_join_run, text)
    joined = _SEPARATED.sub(_join_separated, text)
    if joined == text:
        return text
    return _PAIR.sub(lambda m: m[1] + m[3] if is_word(m[1] + m[3]) else m[0], joined)


def _join_run(match: re.Match[str]) -> str:
    groups = ["".join(group.split()) for group in _GAP.split(match[0])]
    if len(groups) > 1 and len(groups) < len("".join(groups)) / 1.5:
        known = sum(len(group) for group in groups if is_word(group))
        if known >= 0.6 * len("".join(groups)):
            return " ".join(groups)
    words = segment("".join(groups).lower(), 2.5)
    return " ".join(words) if words else match[0]


def _join_separated(match: re.Match[str]) -> str:
    letters = match[0].replace(match[1], "")
    if match[1] == "." and letters.isupper() and len(letters) <= 6:
        return match[0]  # an abbreviation
    if is_word(letters):
        return letters
    words = segment(letters.lower()) if len(letters) > 3 else None
    return " ".join(words) if words else match[0]


_LEET = {"0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g"}
_LEET |= {"@": "a", "$": "s", "!": "i", "|": "li", "+": "t"}
_LEET_SIGN = re.compile(r"[A-Za-z][0-9@$!|+][A-Za-z]|(?<![\w@$!|+.])[0-9@][A-Za-z]{3}")
_LEET_TOKEN = re.compile(
    r"(?<![\w@$!|+.])(?=[\w@$!|+]{0,24}[A-Za-z])(?=[\w@$!|+]{0,24}[0-9@$!|+])[A-Za-z0-9@$!|+]{2,24}(?![\w@$])"
)
_UNIT_OR_NUMBERED = re.compile(r"[0-9]+[A-Za-z]{1,3}|[A-Za-z]+[0-9]+|[0-9a-fA-F]{6,}|\$[A-Za-z]+|[A-Za-z]+\$")
_ISOLATED = re.compile(r"(?:[A-Za-z]+|(?<![0-9@$!|+])[0-9@$!|+](?![0-9@$!|+]{2}))+")


def undo_leet(text: str) -> str:
    """Spell "h4ck", "k1ll", "p@ssw0rd" with letters.

    One word is changed only if the result is a common English word. Two or more such words show that the
    text is written so; then short words ("t0") and words outside the lexicon are spelt out as well.
    """
    if not _LEET_SIGN.search(text):
        return text
    tokens = {match[0] for match in _LEET_TOKEN.finditer(text)}
    plain = {token: word for token in tokens if (word := _strict(token))}
    if len(plain) >= 2:
        plain |= {token: word for token in tokens - set(plain) if (word := _lenient(token))}
    if not plain:
        return text
    return _LEET_TOKEN.sub(lambda m: plain.get(m[0], m[0]), text)


def _readings(token: str) -> list[str]:
    options = [_LEET.get(character, character) for character in token]
    if sum(len(option) > 1 for option in options) > 4:
        return []
    return ["".join(reading) for reading in product(*options)]


def _strict(token: str) -> str | None:
    core = token.rstrip("!|+")
    if len(core) < 3 or core.isalpha() or _UNIT_OR_NUMBERED.fullmatch(core):
        return None
    for word in _readings(core):
        rank = ranks().get(word.lower())
        common = len(word) > 3 or rank < 3000 if rank is not None else len(word) > 4 and is_word(word)
        if common:
            return word + token[len(core) :]
    return None


def _lenient(token: str) -> str | None:
    core = token.rstrip("!|+")
    if core.isalpha() or core.isdigit():
        return None
    readings = _readings(core)
    for word in readings:
        if is_word(word):
            return word + token[len(core) :]
    letters = sum(map(str.isalpha, core))
    if readings and letters >= 2 and len(core) > 4 and _ISOLATED.fullmatch(core):
        return readings[0] + token[len(core) :]
    return None


_RUN = re.compile(r"([A-Za-z])\1\1")
_LONG_RUN = re.compile(r"([A-Za-z])\1{2,}")
_LETTERS = re.compile(r"[A-Za-z]{4,}")


def undo_repeats(text: str) -> str:
    """Shorten runs of a letter ("killlll", "hhhow") where that gives an English word."""
    return _LETTERS.sub(_shorten, text) if _RUN.search(text) else text


def _shorten(match: re.Match[str]) -> str:
    word = match[0]
    if not _RUN.search(word) or len(word) > 60 or word.lower() in ranks():
        return word
    once, twice = _LONG_RUN.sub(r"\1", word), _LONG_RUN.sub(r"\1\1", word)
    known = [c for c in (once, twice) if len(c) > 1 and c.lower() in ranks()]
    return min(known, key=lambda c: ranks()[c.lower()], default=word)


_UNSPACED = re.compile(r"[A-Za-z]{20,}")


def split_unspaced(text: str) -> str:
    """Put spaces between words run together ("howtomakesomething"), where nothing but words results."""
    return _UNSPACED.sub(_split, text)


def _split(match: re.Match[str]) -> str:
    letters = match[0]
    mixed = not (letters.islower() or letters.isupper() or letters[1:].islower())
    if len(letters) > 2000 or (mixed and len(letters) < 30):  # camelCase of ordinary length is code
        return letters
    words = segment(letters.lower())
    return " ".join(words) if words and len(words) >= 3 else letters
