"""Letters that only look Latin, in words that are otherwise Latin: Russian and Greek text stays."""

from __future__ import annotations

import re

from mllm_protector.text.lexicon import is_word

__all__ = ["fold_words"]

_PAIRS = (
    ("аеорсухіјѕһԁԛԝкмтвнгпьѵӏё", "aeopcyxijshdqwkmtbhrnbvle"),
    ("АВЕКМНОРСТУХІЈЅЁ", "ABEKMHOPCTYXIJSE"),
    ("αβεηικνορτυχωγϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abenikvoptuxwycjABEZHIKMNOPTYX"),
    ("օսհոցզɑɡıɩʏɪʙɢʜʟɴʀᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢꜰꜱ", "ouhngqagiiyibghlnracdejkmoptuvwzfs"),
)
_LATIN = {ord(theirs): ours for row, plain in _PAIRS for theirs, ours in zip(row, plain, strict=True)}
_LOOKALIKE = "".join(row for row, _ in _PAIRS)
_ANY = re.compile(f"[{_LOOKALIKE}]")
_WORD = re.compile(rf"[^\W\d_]*[{_LOOKALIKE}][^\W\d_]*")
_FOREIGN = re.compile(r"[\u0370-\u058f]")
_ASCII = re.compile(r"[A-Za-z]")
_SMALL_CAPITALS = re.compile(r"[\u026a\u0280\u0262\u0274\u028f\u0299\u029c\u029f\u1d00-\u1d22\ua730\ua731]")


def fold_words(text: str) -> str:
    """Return ``text`` with look-alike letters made Latin where a word mixes scripts.

    A word made of look-alikes only ("сор") is folded where the text around it is Latin and the result
    is English. Linear in the length of the text.
    """
    if not _ANY.search(text):
        return text
    latin_text = len(_ASCII.findall(text)) > len(_FOREIGN.findall(text))

    def fold(match: re.Match[str]) -> str:
        word = match[0]
        folded = word.translate(_LATIN)
        if _ASCII.search(word) and (len(word) > 2 or latin_text):
            return folded
        if _SMALL_CAPITALS.search(word) and len(word) > 1:
            return folded
        return folded if latin_text and folded.isascii() and len(word) > 1 and is_word(folded) else word

    return _WORD.sub(fold, text)
