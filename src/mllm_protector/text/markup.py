"""Markup that breaks words apart for a program but not for a reader: tags, entities, emphasis, LaTeX.

Only what stands inside a word, or spells letters another way, is touched; an HTML page, a Markdown
answer and a formula stay as they are.
"""

from __future__ import annotations

import re

__all__ = ["undo_markup"]

_INLINE_TAG = (
    r"(?:</?(?:b|i|u|s|em|strong|span|font|small|big|mark|tt|sub|sup|wbr|code|a)(?:\s[^<>]{0,200})?/?>"
    r"|<!--[^<>]{0,200}-->)"
)
_TAG_IN_WORD = re.compile(rf"(?<=[A-Za-z]){_INLINE_TAG}+(?=[A-Za-z])", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#(\d{1,6})|#[xX]([0-9a-fA-F]{1,5})|zwnj|zwj|shy|ZeroWidthSpace);")
_EMPHASIS = re.compile(
    r"(?<![A-Za-z])[A-Za-z]*(?:(\*{1,3}|_{2,3}|~~|`{1,2})[A-Za-z]+\1[A-Za-z]*)+(?![A-Za-z])"
)
_EMPHASIS_SIGN = re.compile(r"[A-Za-z](?:\*{1,3}|__|~~|`)[A-Za-z]")
_MARKS = re.compile(r"[*_~`]+")
_LATEX = re.compile(
    r"\\(?:text(?:bf|it|tt|rm|sf|sc|up|normal)?|math(?:bf|it|tt|rm|sf|cal|bb|frak|scr|normal)|emph|underline"
    r"|mbox|hbox|operatorname)[ ]?\{([^{}]{0,2000})\}"
)


def undo_markup(text: str) -> str:
    """Return ``text`` without in-word tags and emphasis, numeric entities of letters, and LaTeX wrappers."""
    if "&" in text:
        text = _ENTITY.sub(_character, text)
    if "<" in text:
        text = _TAG_IN_WORD.sub("", text)
    if "\\" in text:
        text = _LATEX.sub(r"\1", text)
    if _EMPHASIS_SIGN.search(text):
        text = _EMPHASIS.sub(_without_marks, text)
    return text


def _character(match: re.Match[str]) -> str:
    code = int(match[1]) if match[1] else int(match[2], 16) if match[2] else -1
    if code < 0:
        return ""  # an invisible named character
    character = chr(code) if code < 0x110000 else ""
    return character if character.isalnum() or character == " " else match[0]


def _without_marks(match: re.Match[str]) -> str:
    pieces = _MARKS.split(match[0])
    # "a*b*c" is arithmetic; emphasis inside a word leaves at least one longer piece or four letters.
    plain = match[1] == "*" and all(len(piece) == 1 for piece in pieces) and len(pieces) < 4
    framed = not pieces[0] and not pieces[-1] and len(pieces) == 3  # **word** is ordinary Markdown
    return match[0] if plain or framed else "".join(pieces)
