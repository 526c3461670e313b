"""Encodings of bytes and characters: base64, hex, percent, escapes, binary, decimal, Morse."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_plus

from mllm_protector.text.lexicon import english_share, segment

__all__ = ["decoded_blocks", "reads_like_language"]

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_\-=])[A-Za-z0-9+/_\-]{16,}(?:\r?\n[A-Za-z0-9+/_\-]{8,})*={0,2}")
_HEX = re.compile(
    r"(?<![0-9A-Za-z])(?:0x|\\x)?[0-9A-Fa-f]{2}"
    r"(?:(?:[ :\n]|, ?)?(?:0x|\\x)?[0-9A-Fa-f]{2}){7,}(?![0-9A-Za-z])"
)
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2}[\w.~+\-]{0,40}){3,}")
_ESCAPES = re.compile(
    r"(?:(?:(?:\\u|U\+)\{?[0-9A-Fa-f]{4,5}\}?|\\x[0-9A-Fa-f]{2}|\\[0-7]{3})[ ,.!?'\-]?){4,}"
)
_ESCAPE = re.compile(r"(?:\\u|U\+|\\x)\{?([0-9A-Fa-f]{2,5})\}?|\\([0-7]{3})")
_BINARY = re.compile(r"(?<![0-9])[01]{7,8}(?:[ ,\n]{0,2}[01]{7,8}){4,}(?![0-9])")
_CODE = r"(?:3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6])"
_DECIMAL = re.compile(rf"(?<![0-9.]){_CODE}(?:[ ,;\n]{{1,2}}{_CODE}){{7,}}(?![0-9])")
_MORSE = re.compile(r"(?<![.\-])[.\-]{1,6}(?:[ /|]{1,3}[.\-]{1,6}){7,}")
_TAGS = re.compile("[\U000e0020-\U000e007e]{4,}")

_MORSE_CODES = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - "
    "..- ...- .-- -..- -.-- --.."
)
_MORSE_LETTERS = dict(zip(_MORSE_CODES.split(), "abcdefghijklmnopqrstuvwxyz", strict=True))
_URL_SAFE = str.maketrans("-_", "+/")


def decoded_blocks(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Yield ``(start, end, kind, decoded)`` of every block that decodes to printable characters.

    Linear in the length of the text; whether it is language has still to be asked.
    """
    for kind, sign, pattern, decode in _KINDS:
        if sign and sign not in text:
            continue
        for match in pattern.finditer(text):
            hidden = decode(match[0])
            if hidden and _printable(hidden):
                yield match.start(), match.end(), kind, hidden


def reads_like_language(text: str) -> bool:
    """Whether a decoded text is words and not chance: mostly letters, and English words if it is ASCII."""
    letters = sum(map(str.isalpha, text))
    if len(text) < 6 or letters < 0.6 * len(text):
        return False
    if not text.isascii():
        return letters + text.count(" ") > 0.85 * len(text)
    words = re.findall("[a-z]+", text[:4000].lower())
    if english_share(words) >= 0.5:
        return True
    spaced = letters + text.count(" ") > 0.9 * len(text) and len(words) > 3
    vowels = sum(map("aeiouy".__contains__, text.lower())) / letters
    return spaced and 0.25 < vowels < 0.6 and 2.5 < letters / len(words) < 12


def _printable(text: str) -> bool:
    return all(character.isprintable() or character in "\r\n\t" for character in text)


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _base64(block: str) -> str:
    letters = "".join(block.split()).rstrip("=").translate(_URL_SAFE)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    try:
        decoded = _utf8(base64.b64decode(letters + "=" * (-len(letters) % 4)))
        if not decoded and letters.isupper():
            decoded = _utf8(base64.b32decode(letters + "=" * (-len(letters) % 8)))
    except binascii.Error:
        return ""
    return decoded


def _hex(block: str) -> str:
    digits = re.sub(r"0x|\\x|[^0-9A-Fa-f]", "", block)
    return _utf8(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _escapes(block: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = int(match[1], 16) if match[1] else int(match[2], 8)
        return chr(code) if not 0xD800 <= code < 0xE000 else ""

    return _ESCAPE.sub(character, block)


def _binary(block: str) -> str:
    groups = re.findall("[01]+", block)
    bits = "".join(groups)
    size = 7 if all(len(group) == 7 for group in groups) or len(bits) % 8 else 8
    return _utf8(bytes(int(bits[at : at + size], 2) for at in range(0, len(bits) - size + 1, size)))


def _decimal(block: str) -> str:
    decoded = "".join(chr(int(code)) for code in re.findall("[0-9]+", block))
    return decoded if english_share(re.findall("[a-z]+", decoded.lower())) >= 0.5 else ""


def _morse(block: str) -> str:
    groups = [group.split() for group in re.split(r"[/|]| {3}", block)]
    words = ["".join(_MORSE_LETTERS.get(code, "") for code in group) for group in groups]
    if len(words) == 1:
        words = segment(words[0][:400]) or []
    return " ".join(words)


def _tags(block: str) -> str:
    return "".join(chr(ord(character) - 0xE0000) for character in block)


_KINDS: tuple[tuple[str, str, re.Pattern[str], Callable[[str], str]], ...] = (
    ("base64", "", _BASE64, _base64),
    ("hex", "", _HEX, _hex),
    ("percent", "%", _PERCENT, unquote_plus),
    ("escapes", "\\", _ESCAPES, _escapes),
    ("escapes", "U+", _ESCAPES, _escapes),
    ("binary", "", _BINARY, _binary),
    ("decimal", "", _DECIMAL, _decimal),
    ("morse", "-", _MORSE, _morse),
    ("tags", "\U000e0061", _TAGS, _tags),
)
