"""Normal form of a text for scoring: what a reader would read, without the tricks that hide it.

The delivered text is never altered by this. Ordinary text, in any language, comes out as it went in.
"""

from __future__ import annotations

import re
import unicodedata

from mllm_protector.text.decode import find_encoded
from mllm_protector.text.homoglyphs import fold_words
from mllm_protector.text.markup import undo_markup
from mllm_protector.text.spelling import join_spaced, split_unspaced, undo_leet, undo_repeats

__all__ = ["normalise", "replace_surrogates", "variants"]

_MOST_PASSES = 4  # one trick may cover another; a text is normal when a pass changes nothing

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]+")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]+"
    "|(?<![\u203c-\u3299\U0001f000-\U0001faff])[\ufe00-\ufe0f]"
    # Joiners belong to the spelling of Persian, Indic scripts and emoji; next to other letters they hide.
    "|[\u200c\u200d]+(?=[\\s\\d_\x21-\u058f])|(?<=[\x21-\u058f])[\u200c\u200d]+"
)
_STYLED = re.compile(  # letters and digits in another dress, of which NFKC gives the plain ones
    "[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\u2102\u210a-\u2113\u2115\u2119-\u211d\u2124\u2128\u212a-\u2134"
    "\u2145-\u2149\u249c-\u24e9\U0001d400-\U0001d7ff\U0001f110-\U0001f12b\U0001f130-\U0001f149\ufb00-\ufb06"
    "\u1d2c-\u1d6a\u02b0-\u02b8\u02e1-\u02e3\u2071\u207f\u2090-\u209c]+"
)
_PARENTHESISED = re.compile(r"\(([A-Za-z])\)")
_BOXED = re.compile("[\U0001f150-\U0001f169\U0001f170-\U0001f189]{3,}")
_OVERLAY = re.compile("[\u0334-\u0338\u0488\u0489\u20d0-\u20f0]+")
_MARK = re.compile("[\u0300-\u036f]")
_STACKED = re.compile(  # a Latin word with a mark that no letter of Unicode has
    "(?:[A-Za-z\u00c0-\u024f\u1e00-\u1eff][\u0300-\u036f]*)*"
    "[A-Za-z\u00c0-\u024f\u1e00-\u1eff][\u0300-\u036f]+"
    "(?:[A-Za-z\u00c0-\u024f\u1e00-\u1eff][\u0300-\u036f]*)*"
)


def normalise(text: str) -> str:
    """Return the text to score in place of ``text``; it holds no lone surrogates. Idempotent.

    Undone: invisible characters, styled letters, stacked marks, look-alike letters, in-word markup,
    spaced-out words, leetspeak, repeated letters, words run together.
    """
    for _ in range(_MOST_PASSES):
        before = text
        text = _one_pass(text)
        if text == before:
            break
    return text


def replace_surrogates(text: str) -> str:
    """Return ``text`` with lone surrogates, which no encoder takes, as U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def variants(text: str) -> tuple[str, ...]:
    """Texts that must be judged besides ``text``: what is encoded in it, decoded and in normal form."""
    return tuple(normalise(found.text) for found in find_encoded(text))


def _one_pass(text: str) -> str:
    text = _CONTROL.sub("", text)
    if not text.isascii():
        text = _plain_characters(text)
    text = undo_markup(text)
    text = join_spaced(text)
    text = undo_leet(text)
    text = undo_repeats(text)
    return split_unspaced(text)


def _plain_characters(text: str) -> str:
    text = _SURROGATE.sub("\ufffd", text)
    text = _INVISIBLE.sub("", text)
    text = _STYLED.sub(_undress, text)
    text = _BOXED.sub(lambda m: "".join(chr(97 + (ord(c) - 0x1F150) % 32) for c in m[0]), text)
    text = _OVERLAY.sub("", text)
    if _MARK.search(text):
        text = _STACKED.sub(_unmarked, unicodedata.normalize("NFC", text))
    return fold_words(text)


def _unmarked(match: re.Match[str]) -> str:
    return _MARK.sub("", unicodedata.normalize("NFD", match[0]))


def _undress(match: re.Match[str]) -> str:
    return _PARENTHESISED.sub(r"\1", unicodedata.normalize("NFKC", match[0]))
