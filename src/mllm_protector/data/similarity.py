"""How alike two texts are, for many texts at once: one-permutation MinHash over shingles of characters.

A text is folded (case, punctuation, width and white space do not matter), cut into overlapping shingles of
five characters, and each shingle's hash falls into one of 128 bins by its upper bits; a bin keeps its
smallest. Two texts agree in a bin with a probability that is their Jaccard similarity (Li, Owen and Zhang
2012, One permutation hashing), so the share of equal bins estimates it (standard error 0.035 at 0.8; texts
shorter than that have nearly every shingle in a bin of its own, and the estimate is nearly exact).
Candidates share at least one of sixteen bands of four bins (locality-sensitive hashing).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["NearIndex", "bands_of", "digest", "fold", "joint_bands", "similarity", "sketch"]

_SHINGLE = 5
_BINS = 128
_BANDS = 16
_ROWS = 4
_EMPTY = np.uint32(0xFFFFFFFF)
_CHARACTERS = 1 << 20
"""Characters worked on together: bounds the memory of ``sketch``."""
_MOST_CANDIDATES = 512
_WORD = re.compile(r"\w+")
_PRIME = np.uint64(0x100000001B3)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))


def fold(text: str) -> str:
    """Return the words of ``text`` in one case and width, with single spaces between them."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def digest(text: str) -> bytes:
    """Return 16 bytes that are the same for the same text only."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def sketch(folded: Sequence[str]) -> NDArray[np.uint32]:
    """Return the signatures of folded texts, shape [n, 128]; a text without a word has an empty one."""
    signatures = np.full((len(folded), _BINS), _EMPTY, np.uint32)
    start = 0
    while start < len(folded):
        stop, size = start, 0
        while stop < len(folded) and (stop == start or size + len(folded[stop]) < _CHARACTERS):
            size += len(folded[stop])
            stop += 1
        _fill(signatures[start:stop], folded[start:stop])
        start = stop
    return signatures


def similarity(one: NDArray[np.uint32], others: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the estimated Jaccard similarity of one signature [128] to each of others [n, 128]."""
    filled = (one != _EMPTY) | (others != _EMPTY)
    equal = (one == others) & filled
    return np.asarray(equal.sum(axis=1) / np.maximum(filled.sum(axis=1), 1), np.float64)


class NearIndex:
    """Signatures that a new one can be compared with: 512 bytes per part, and sixteen places in a table.

    Args:
        parts: of how many texts an item consists; two items are as similar as their least similar part.
    """

    def __init__(self, parts: int = 1) -> None:
        self._parts = parts
        self._signatures = np.empty((1024, parts * _BINS), np.uint32)
        self._size = 0
        self._buckets: dict[int, int | list[int]] = {}  # most hold one number: a list each would cost more

    def __len__(self) -> int:
        return self._size

    def add(self, signature: NDArray[np.uint32], bands: Sequence[int]) -> int:
        """Take a signature, shape [parts * 128], with its bands; return its number, counted from 0."""
        if self._size == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._signatures[self._size] = signature
        for band in bands:
            here = self._buckets.setdefault(band, self._size)
            if isinstance(here, list):
                here.append(self._size)
            elif here != self._size:
                self._buckets[band] = [here, self._size]
        self._size += 1
        return self._size - 1

    def nearest(self, signature: NDArray[np.uint32], bands: Sequence[int]) -> tuple[int, float]:
        """Return the number of the most similar signature and its similarity, (-1, 0.0) if none is near."""
        found: set[int] = set()
        for band in bands:
            here = self._buckets.get(band, ())
            found.update((here,) if isinstance(here, int) else here)
        if not found:
            return -1, 0.0
        candidates = sorted(found)[:_MOST_CANDIDATES]
        scores = self._scores(signature, self._signatures[candidates])
        best = int(scores.argmax())
        return candidates[best], float(scores[best])

    def _scores(self, one: NDArray[np.uint32], others: NDArray[np.uint32]) -> NDArray[np.float64]:
        scores = np.ones(len(others))
        for part in range(self._parts):
            place = slice(part * _BINS, (part + 1) * _BINS)
            if self._parts == 1 or (one[place] != _EMPTY).any():
                scores = np.minimum(scores, similarity(one[place], others[:, place]))
            else:  # nothing is like nothing
                scores[(others[:, place] != _EMPTY).any(axis=1)] = 0.0
        return scores


def joint_bands(parts: Sequence[Sequence[Sequence[int]]]) -> list[list[int]]:
    """Return band keys of items from those of their parts: two items meet where all of their parts do.

    Args:
        parts: per part, the bands of every item; an item whose parts are all empty has none.
    """
    joined = []
    for bands in zip(*parts, strict=True):
        full = [part for part in bands if part]
        joined.append([hash(keys) for keys in zip(*full, strict=True)])
    return joined


def bands_of(signatures: NDArray[np.uint32]) -> list[list[int]]:
    """Return the sixteen band keys of each signature; [] for an empty one.

    Empty bins borrow from the next full one on the right (Shrivastava and Li 2014), so that two short texts
    do not meet in every band where neither has anything.
    """
    slots = signatures.reshape(len(signatures), _BANDS * _ROWS, _BINS // (_BANDS * _ROWS)).min(axis=2)
    full = (slots != _EMPTY).any(axis=1)
    for _ in range(slots.shape[1] - 1):
        hole = (slots == _EMPTY) & full[:, None]
        if not hole.any():
            break
        shifted = np.roll(slots, -1, axis=1)
        # The distance is mixed in, so that a borrowed value differs from the same value at home.
        slots = np.where(hole & (shifted != _EMPTY), shifted + np.uint32(0x9E3779B9), slots)
    values = slots.reshape(len(slots), _BANDS, _ROWS).astype(np.uint64)
    keys = np.broadcast_to(np.arange(_BANDS, dtype=np.uint64), values.shape[:2]).copy()
    for row in range(_ROWS):
        keys = _mixed(keys * _PRIME + values[:, :, row])
    return [row if filled else [] for row, filled in zip(keys.tolist(), full.tolist(), strict=True)]


def _fill(signatures: NDArray[np.uint32], folded: Sequence[str]) -> None:
    """Put the shingles of a few texts into their bins."""
    padded = [text if len(text) >= _SHINGLE or not text else text.ljust(_SHINGLE) for text in folded]
    lengths = np.array([len(text) for text in padded])
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    count = len(points) - _SHINGLE + 1
    if count < 1:
        return
    hashes = np.zeros(count, np.uint64)
    for offset in range(_SHINGLE):
        hashes = hashes * _PRIME + points[offset : offset + count]
    hashes = _mixed(hashes)
    owners = np.repeat(np.arange(len(padded)), lengths)
    inside = owners[:count] == owners[_SHINGLE - 1 :]  # a shingle that spans two texts is of neither
    owners, hashes = owners[:count][inside], hashes[inside]
    places = owners * _BINS + (hashes >> np.uint64(57)).astype(np.int64)
    values = np.minimum((hashes & np.uint64(0xFFFFFFFF)).astype(np.uint32), _EMPTY - 1)
    np.minimum.at(signatures.reshape(-1), places, values)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the bits (the finaliser of MurmurHash3)."""
    for factor in _MIX:
        values = (values ^ (values >> np.uint64(33))) * factor
    return values ^ (values >> np.uint64(33))
