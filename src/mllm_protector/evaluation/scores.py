"""Detections kept on disk as they are made, so that an interrupted scoring goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mllm_protector.errors import BackendError, OutputError
from mllm_protector.interfaces import HarmDetector
from mllm_protector.types import Detection, Exchange

__all__ = ["scored"]


def scored(
    detector: HarmDetector,
    fingerprint: str,
    exchanges: Sequence[Exchange],
    cache: Path | None,
    *,
    batch_size: int = 32,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> list[Detection]:
    """Return one detection per exchange, without spans; what ``cache`` holds already is not scored again.

    Args:
        detector: who scores.
        fingerprint: of the detector: part of every key of the cache.
        exchanges: what to score.
        cache: JSON lines, one per exchange; made if it is not there, added to after every batch. None keeps
            nothing.
        batch_size: exchanges per call.
        on_progress: told how many are done, after every batch.

    Raises:
        BackendError: the detector failed.
        OutputError: the cache cannot be written.
    """
    keys = [_key(fingerprint, exchange) for exchange in exchanges]
    known = {} if cache is None else _read(cache)
    missing = list({key: place for place, key in enumerate(keys) if key not in known}.values())
    on_progress(len(exchanges) - len(missing))
    try:
        with _opened(cache) as stream:
            for start in range(0, len(missing), batch_size):
                places = missing[start : start + batch_size]
                found = detector.detect([exchanges[place] for place in places])
                if len(found) != len(places):
                    raise BackendError(f"the detector returned {len(found)} detections of {len(places)}")
                for place, detection in zip(places, found, strict=True):
                    known[keys[place]] = Detection(detection.harm, detection.categories)
                    line = {
                        "key": keys[place],
                        "harm": detection.harm,
                        "categories": dict(detection.categories),
                    }
                    stream.write(json.dumps(line).encode() + b"\n")
                stream.flush()
                on_progress(len(exchanges) - len(missing) + start + len(places))
    except OSError as error:
        raise OutputError(
            f"{cache} cannot be written ({error.strerror}): free space or give another"
        ) from error
    return [known[key] for key in keys]


@contextmanager
def _opened(cache: Path | None) -> Iterator[BinaryIO]:
    if cache is None:
        yield BytesIO()
        return
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.open("ab") as stream:
        if stream.tell():
            stream.write(b"\n")  # ends a line that a kill left half written
        yield stream


def _read(cache: Path) -> dict[str, Detection]:
    """What the cache holds; a line cut short by a kill is passed over."""
    known = {}
    try:
        for line in cache.read_bytes().splitlines():
            try:
                row = json.loads(line)
                known[row["key"]] = Detection(float(row["harm"]), row["categories"])
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OutputError(f"{cache} cannot be read ({error.strerror}): give another") from error
    return known


def _key(fingerprint: str, exchange: Exchange) -> str:
    query = exchange.query
    turns = [(turn.role, turn.content) for turn in query.history]
    images = [hashlib.sha256(image.data).hexdigest() for image in query.images]
    told = repr((fingerprint, query.prompt, query.image_text, turns, exchange.response, *images))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]
