"""Questions out of a model's reply: a JSON list, or the lines of a numbered one."""

from __future__ import annotations

import json
import re

__all__ = ["questions_in"]

_THOUGHT = "</think>"
_LIST = re.compile(r"\[.*\]", re.DOTALL)
_ITEM = re.compile(r"^\s*(?:\d{1,3}[.):]|[-*•])\s+(.+?)\s*$", re.MULTILINE)
_LONGEST = 1000


def questions_in(reply: str) -> list[str]:
    """Return the questions of a reply in order, [] if it cannot be parsed; nothing is guessed from prose."""
    shown = reply.rsplit(_THOUGHT, 1)[-1]
    if match := _LIST.search(shown):
        try:
            items = json.loads(match.group())
        except ValueError:
            items = None
        if isinstance(items, list) and items and all(isinstance(item, str) for item in items):
            return _usable(items)
    return _usable(_ITEM.findall(shown))


def _usable(items: list[str]) -> list[str]:
    cleaned = (" ".join(item.strip().strip('"').split()) for item in items)
    return [item for item in cleaned if item and len(item) <= _LONGEST]
