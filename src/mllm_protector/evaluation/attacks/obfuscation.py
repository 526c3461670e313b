"""Tricks that hide what a text says from a detector but not from its reader.

Each is a pure function of the text and a seeded generator; ``TRICKS`` names them all. They are what
``text.normalise`` and ``text.decode`` are measured against, and are written without looking at them.
"""

from __future__ import annotations

import base64
import codecs
import random
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Mapping
from types import MappingProxyType

__all__ = ["TRICKS", "obfuscate"]

Trick = Callable[[str, random.Random], str]

_WORD = re.compile(r"[A-Za-z]{2,}")
_CYRILLIC = str.maketrans("aeopcyxiAEOPCTXBHKM", "аеорсухіАЕОРСТХВНКМ")
_GREEK = str.maketrans("oviaOAEIKT", "ονιαΟΑΕΙΚΤ")
_LEET = str.maketrans("aeiostAEIOST", "431057431057")
_SYMBOLS = str.maketrans("asiASI", "@$!@$!")
_SMALL = str.maketrans("abcdeghijklmnoprtuvwyz", "ᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ")
_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_STROKES = "\u0334\u0335\u0336\u0337\u0338"


def obfuscate(text: str, trick: str, seed: int = 0) -> str:
    """Return ``text`` under the named trick; the same seed gives the same text. KeyError if unknown."""
    return TRICKS[trick](text, random.Random(seed))  # noqa: S311  (not for secrets)


def _words(text: str, change: Callable[[str], str]) -> str:
    return _WORD.sub(lambda match: change(match[0]), text)


def _shift(text: str, lower: int, upper: int) -> str:
    return "".join(
        chr(ord(c) - 97 + lower) if "a" <= c <= "z" else chr(ord(c) - 65 + upper) if "A" <= c <= "Z" else c
        for c in text
    )


def _zero_width(text: str, rng: random.Random) -> str:
    return _words(text, lambda word: "".join(c + rng.choice(_UNSEEN) for c in word))


def _marks(text: str, rng: random.Random) -> str:
    return _words(text, lambda word: "".join(c + rng.choice(_STROKES) for c in word))


def _zalgo(text: str, rng: random.Random) -> str:
    def stack(word: str) -> str:
        return "".join(
            c + "".join(chr(rng.randint(0x300, 0x333)) for _ in range(rng.randint(1, 3))) for c in word
        )

    return unicodedata.normalize("NFC", _words(text, stack))


def _half(table: dict[int, int]) -> Trick:
    """Replace every second letter that can be, as an attacker does who wants the word to stay readable."""
    return lambda text, rng: "".join(c.translate(table) if rng.random() < 0.5 else c for c in text)


def _repeat(text: str, rng: random.Random) -> str:
    def stretch(word: str) -> str:
        at = rng.randrange(len(word))
        return word[:at] + word[at] * rng.randint(3, 5) + word[at + 1 :]

    return _words(text, stretch)


def _split_by(opening: str, closing: str) -> Trick:
    def split(text: str, rng: random.Random) -> str:
        def mark(word: str) -> str:
            at = rng.randrange(1, len(word)) if len(word) > 2 else 1
            return f"{word[:at]}{opening}{word[at : at + 1]}{closing}{word[at + 1 :]}"

        return _words(text, mark)

    return split


def _each_line(text: str, change: Callable[[str], str]) -> str:
    return "\n".join(change(line) if line.strip() else line for line in text.split("\n"))


TRICKS: Mapping[str, Trick] = MappingProxyType(
    {
        "zero-width": _zero_width,
        "soft hyphens": lambda text, _: _words(text, "\u00ad".join),
        "strokes": _marks,
        "zalgo": _zalgo,
        "cyrillic": lambda text, _: text.translate(_CYRILLIC),
        "cyrillic, half": _half(_CYRILLIC),
        "greek": lambda text, _: text.translate(_GREEK),
        "fullwidth": lambda text, _: _shift(text, 0xFF41, 0xFF21),
        "math bold": lambda text, _: _shift(text, 0x1D41A, 0x1D400),
        "circled": lambda text, _: _shift(text, 0x24D0, 0x24B6),
        "small capitals": lambda text, _: text.lower().translate(_SMALL),
        "spaced, word gaps": lambda text, _: _each_line(
            text, lambda line: "  ".join(map(" ".join, line.split()))
        ),
        "spaced, no gaps": lambda text, _: _each_line(text, lambda line: " ".join(re.sub(r"\s", "", line))),
        "dotted": lambda text, _: _words(text, ".".join),
        "hyphenated": lambda text, _: _words(text, "-".join),
        "leet": lambda text, _: text.translate(_LEET),
        "leet, half": _half(_LEET),
        "symbols": _half(_SYMBOLS),
        "repeated letters": _repeat,
        "no spaces": lambda text, _: _each_line(text, lambda line: line.replace(" ", "")),
        "html tags": _split_by("<b>", "</b>"),
        "html comments": _split_by("<!---->", ""),
        "html entities": lambda text, _: _words(text, lambda word: "".join(f"&#{ord(c)};" for c in word)),
        "markdown": _split_by("**", "**"),
        "latex": lambda text, _: _words(text, lambda word: f"\\text{{{word}}}"),
        "base64": lambda text, _: base64.b64encode(text.encode()).decode(),
        "hex": lambda text, _: text.encode().hex(),
        "hex bytes": lambda text, _: text.encode().hex(" "),
        "url-encoded": lambda text, _: urllib.parse.quote(text),
        "unicode escapes": lambda text, _: "".join(f"\\u{ord(c):04x}" if ord(c) < 65536 else c for c in text),
        "binary": lambda text, _: " ".join(f"{byte:08b}" for byte in text.encode()),
        "rot13": lambda text, _: codecs.encode(text, "rot13"),
        "caesar 3": lambda text, _: "".join(
            chr((ord(c) - 94) % 26 + 97)
            if "a" <= c <= "z"
            else chr((ord(c) - 62) % 26 + 65)
            if "A" <= c <= "Z"
            else c
            for c in text
        ),
        "reversed": lambda text, _: text[::-1],
        "reversed words": lambda text, _: _words(text, lambda word: word[::-1]),
        "base64 of rot13": lambda text, _: base64.b64encode(codecs.encode(text, "rot13").encode()).decode(),
    }
)
"""Name -> trick."""
