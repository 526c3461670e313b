"""Finds what is written in an encoding and decodes it: base64, hex, escapes, binary, ciphers, reversal.

Only text that reads like language comes back, so that images, keys and checksums do not. The work is
bounded: so many attempts, so many characters, two layers deep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from mllm_protector.text.ciphers import deciphered
from mllm_protector.text.encodings import decoded_blocks, reads_like_language

__all__ = ["Decoded", "find_encoded"]

_MOST_BLOCKS = 32
_MOST_ATTEMPTS = 4096
_MOST_CHARACTERS = 1_000_000
_LAYERS = 2


@dataclass(frozen=True, slots=True)
class Decoded:
    """A hidden text.

    Attributes:
        start: first character of the encoded block in the text.
        end: one past its last character.
        kind: how it was encoded, such as ``base64``; ``base64+rot13`` for one inside the other.
        text: what it says.
        opaque: True for an encoding of bytes, which says nothing unless decoded; False for a cipher,
            whose stretch may hold plain words, and for a joined rest.
    """

    start: int
    end: int
    kind: str
    text: str
    opaque: bool = False


def find_encoded(text: str, *, layers: int = _LAYERS) -> tuple[Decoded, ...]:
    """Return the hidden texts of ``text``; of nested encodings every layer that can be read.

    At most 32; if there are more, the last holds all the rest, joined.
    """
    found: list[Decoded] = []
    seen: set[str] = set()
    budget = _MOST_CHARACTERS
    for block in islice(_blocks(text), _MOST_ATTEMPTS):
        budget -= len(block.text)
        if budget < 0:
            break
        if layers > 1:
            inner = find_encoded(block.text, layers=layers - 1)
            found.extend(
                Decoded(block.start, block.end, f"{block.kind}+{i.kind}", i.text, block.opaque) for i in inner
            )
        if block.text.strip() not in seen and reads_like_language(block.text):
            seen.add(block.text.strip())
            found.append(block)
    if len(found) > _MOST_BLOCKS:
        rest = found[_MOST_BLOCKS - 1 :]
        start, end = min(r.start for r in rest), max(r.end for r in rest)
        found[_MOST_BLOCKS - 1 :] = [Decoded(start, end, "several", "\n".join(r.text for r in rest))]
    return tuple(found)


def _blocks(text: str) -> Iterator[Decoded]:
    for start, end, kind, hidden in decoded_blocks(text):
        yield Decoded(start, end, kind, hidden, opaque=True)
    for start, end, kind, hidden in deciphered(text):
        yield Decoded(start, end, kind, hidden)
