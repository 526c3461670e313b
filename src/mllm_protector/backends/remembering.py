"""Texts of media that were read already, known by the hash of their bytes."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Remembered"]


class Remembered:
    """The texts of the last media read; what was not used for longest goes first.

    Reads one at a time: engines are not to be called from several threads.

    Args:
        most: how many texts are kept, 0 for none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, data: bytes, read: Callable[[bytes], str]) -> str:
        """Return the text of ``data``; ``read`` is called if it is not known, its errors pass."""
        key = hashlib.sha256(data).digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            text = self._known[key] = read(data)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            return text
