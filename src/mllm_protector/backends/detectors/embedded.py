"""The harm detector that ships inside the package: a small BERT over (query, response) windows.

Every token of the response is seen, in overlapping windows; the harm of a response is that of its
worst window, or of its worst hidden (encoded) part. A window that is suspect but passes gets a second
look, sentence by sentence and without the query: one harmful sentence drowns in a harmless answer.
Text is normalised for scoring only. Where a response scores high its sentences are scored one by one,
with the query as context, to say where.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mllm_protector.backends.detectors.pair_model import PairModel
from mllm_protector.backends.detectors.windows import Place, cut_chunks, locate, stream_windows
from mllm_protector.checkpoints import EMBEDDED, MODEL, TOKENIZER, Manifest
from mllm_protector.prompts import fit_segment_a, segment_a
from mllm_protector.taxonomy import HAZARDS
from mllm_protector.text.decode import Decoded, find_encoded
from mllm_protector.text.normalise import normalise as normal_form
from mllm_protector.text.normalise import replace_surrogates
from mllm_protector.text.sentences import sentences
from mllm_protector.types import Detection, Exchange, Query, Span

__all__ = ["EmbeddedDetector"]

_MOST_SENTENCES = 256
_CACHED_WINDOWS = 1024
_SUSPECT = 0.05  # harm from which a window that passes has its sentences looked at by themselves
_SURE = 0.9  # harm of a sentence by itself that counts for the response (design/006)
_SHORTEST_SENTENCE = 16  # characters; what is shorter says too little to be judged by itself
_HAZARDS = frozenset(category.code for category in HAZARDS)


@dataclass(frozen=True, slots=True)
class _Found:
    """A window's probabilities and the characters of the response it stands for."""

    place: Place
    probabilities: NDArray[np.float32]
    exact: bool = False  # the place is the harmful part itself, no search for it is needed

    @property
    def harm(self) -> float:
        return float(self.probabilities[0])


class EmbeddedDetector:
    """P(harmful) of exchanges, with hazard categories and spans, on the CPU and without a network.

    Args:
        folder: a checkpoint folder, None for the one inside the package.
        threads: threads inside one call, None for the processors there are but at most 4.
        normalise: undo obfuscation before scoring and score decoded blocks too.
        second_look: score the sentences of suspect windows that pass by themselves too.
        span_threshold: harm from which a response is scored sentence by sentence; also the harm from
            which a sentence becomes a span. Lower than the thresholds of policies, so that whatever
            a policy acts on has spans.

    Raises:
        CheckpointError: the weights are missing or damaged.
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        threads: int | None = None,
        normalise: bool = True,
        second_look: bool = True,
        span_threshold: float = 0.3,
    ) -> None:
        self.folder = Path(EMBEDDED if folder is None else folder)
        self._model = PairModel(self.folder, threads=threads)
        self._normal = normal_form if normalise else replace_surrogates
        self._decode = normalise
        self._looks_twice = second_look
        self._span_threshold = span_threshold
        self._given_harm = np.array([name in _HAZARDS for name in self.manifest.outputs])

    @property
    def manifest(self) -> Manifest:
        """What the checkpoint says of itself: name, threshold, licences."""
        return self._model.manifest

    @property
    def fingerprint(self) -> str:
        """What identifies its scores: weights, tokenizer, template, calibration, and its settings."""
        told = {**self.manifest.to_dict(), "normalise": self._decode, "second_look": self._looks_twice}
        kept = {k: told[k] for k in ("template", "outputs", "calibration", "normalise", "second_look")}
        files = {name: self.manifest.files[name] for name in (MODEL, TOKENIZER)}
        data = json.dumps(kept | {"files": files}, sort_keys=True).encode()
        return f"embedded-{hashlib.sha256(data).hexdigest()[:12]}"

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one detection per exchange, in order.

        The categories S1 to S14 hold P(category and harmful); the advice categories are independent of harm.

        Raises:
            BackendError: the model failed.
        """
        cache: dict[bytes, NDArray[np.float32]] = {}
        return [self._detect(exchange, cache) for exchange in exchanges]

    def score(self, exchanges: Sequence[Exchange], /) -> list[float]:
        """Return only P(harmful) of each exchange, in order; the same as ``detect`` finds, without spans."""
        cache: dict[bytes, NDArray[np.float32]] = {}
        return [max((w.harm for w in self._windows(e, cache)), default=0.0) for e in exchanges]

    def _detect(self, exchange: Exchange, cache: dict[bytes, NDArray[np.float32]]) -> Detection:
        worst, found = np.zeros(len(self.manifest.outputs), dtype=np.float32), []
        for window in self._windows(exchange, cache):
            np.maximum(worst, self._joint(window.probabilities), out=worst)
            if window.harm >= self._span_threshold:
                found.append(window)
        if not worst.any():
            return Detection(0.0)
        categories = {n: float(v) for n, v in zip(self.manifest.outputs[1:], worst[1:], strict=True)}
        return Detection(float(worst[0]), categories, self._spans(exchange, found, cache) if found else ())

    def _joint(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn P(category | harmful) into P(category and harmful); the other heads are left as they are."""
        return np.where(self._given_harm, probabilities * probabilities[0], probabilities)

    def _windows(self, exchange: Exchange, cache: dict[bytes, NDArray[np.float32]]) -> Iterator[_Found]:
        """Score the windows, suspect ones a second time, then what is hidden in the response."""
        if not exchange.response.strip():
            return
        a_ids = self._segment_a(exchange.query)
        hidden = find_encoded(exchange.response) if self._decode else ()
        visible = _without(exchange.response, hidden)
        plain = [_Found(place, scores) for place, scores in self._score_text(a_ids, visible, cache)]
        yield from plain
        if self._looks_twice and all(window.harm < self.manifest.threshold for window in plain):
            yield from self._second_look(visible, plain, cache)
        for block in hidden:
            for _, probabilities in self._score_text(a_ids, block.text, cache):
                yield _Found(Place(block.start, block.end), probabilities, exact=True)

    def _second_look(
        self, text: str, windows: Sequence[_Found], cache: dict[bytes, NDArray[np.float32]]
    ) -> Iterator[_Found]:
        """The sentences of suspect windows that are surely harmful by themselves, whatever was asked."""
        suspects = sorted((w for w in windows if w.harm >= _SUSPECT), key=lambda w: -w.harm)
        if not suspects:
            return
        unasked = self._segment_a(Query(""))
        for place in _sentences_within(text, [window.place for window in suspects]):
            sentence = text[place.start : place.end]
            if len(sentence.strip()) >= _SHORTEST_SENTENCE:
                for _, scores in self._score_text(unasked, sentence, cache):
                    if scores[0] >= _SURE:
                        yield _Found(place, scores, exact=True)

    def _segment_a(self, query: Query) -> list[int]:
        texts = segment_a(query, self.manifest.template)
        parts = [self._normal(part) for part in (texts.history, texts.request, texts.image)]
        history, request, image = self._model.token_ids(parts)
        return fit_segment_a(history, request, image, self.manifest.template)

    def _score_text(
        self, a_ids: Sequence[int], text: str, cache: dict[bytes, NDArray[np.float32]]
    ) -> Iterator[tuple[Place, NDArray[np.float32]]]:
        chunks = cut_chunks(text)
        ids, before = self._model.joined_ids([self._normal(text[c.start : c.end]) for c in chunks])
        if not ids:
            return
        for window in stream_windows(a_ids, ids, self.manifest.template):
            key = np.array(window.input_ids, dtype=np.int32).tobytes()
            if key not in cache:  # repeated text costs nothing, and a text's sentence may be the text
                if len(cache) >= _CACHED_WINDOWS:
                    cache.clear()
                cache[key] = self._model.run(window)
            yield locate(window, chunks, before), cache[key]

    def _spans(
        self, exchange: Exchange, found: Sequence[_Found], cache: dict[bytes, NDArray[np.float32]]
    ) -> tuple[Span, ...]:
        """The sentences that score high by themselves, and encoded blocks as a whole."""
        best: dict[Place, float] = {}
        for window in sorted(found, key=lambda w: w.harm):
            if window.exact:
                best[window.place] = window.harm
        plain = sorted((w for w in found if not w.exact), key=lambda w: -w.harm)
        if plain:
            suspects = _sentences_within(exchange.response, [w.place for w in plain])
            scored = self._score_places(exchange, suspects, cache)
            best = {**scored, **best} if scored or best else {plain[0].place: plain[0].harm}
        return tuple(Span(p.start, p.end, harm) for p, harm in sorted(best.items(), key=lambda i: i[0].start))

    def _score_places(
        self, exchange: Exchange, places: Sequence[Place], cache: dict[bytes, NDArray[np.float32]]
    ) -> dict[Place, float]:
        """P(harmful) of those places that reach the span threshold by themselves."""
        a_ids, harms = self._segment_a(exchange.query), {}
        for place in places:
            scores = self._score_text(a_ids, exchange.response[place.start : place.end], cache)
            harms[place] = max((float(p[0]) for _, p in scores), default=0.0)
        return {place: harm for place, harm in harms.items() if harm >= self._span_threshold}


def _without(text: str, hidden: Sequence[Decoded]) -> str:
    """``text`` with its opaque blocks blanked, same length: they are judged by what they say."""
    for block in hidden:
        if block.opaque:
            text = text[: block.start] + " " * (block.end - block.start) + text[block.end :]
    return text


def _sentences_within(text: str, places: Sequence[Place]) -> list[Place]:
    """The sentences that touch ``places``, those of the first places first, at most ``_MOST_SENTENCES``."""
    bounds = sentences(text)
    ends = [end for _, end in bounds]
    chosen: dict[Place, None] = {}
    for place in places:
        for start, end in islice(bounds, bisect_right(ends, place.start), None):
            if len(chosen) >= _MOST_SENTENCES:
                return list(chosen)
            if start >= place.end:
                break
            if text[start:end].strip():
                chosen[Place(start, end)] = None
    return list(chosen)
