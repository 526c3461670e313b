"""The hint in an error about a misspelt name: the nearest known one, or the list of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"``, or ``"; known: a, b"`` if nothing is near, or ``""``."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:
        folded = {n.lower(): n for n in names}
        close = [folded[name.lower()]] if name.lower() in folded else []
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
