"""From the images and recordings of queries to the text that they are judged with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mllm_protector.interfaces import ImageReader, Transcriber
from mllm_protector.isolation import isolated
from mllm_protector.types import Query

__all__ = ["HEARD", "Reading", "read_media"]

HEARD = "[audio]"
"""Stands before what was heard in a recording, so that people and models can tell it from what was read."""

_Medium = TypeVar("_Medium")


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of one query's media.

    Attributes:
        query: the query; ``image_text`` holds what was read in the images, a line each and in order, and
            after them what was heard in the recordings, each behind ``[audio]``.
        failures: ``images[0]`` or ``recordings[0]`` -> why it could not be read.
    """

    query: Query
    failures: Mapping[str, Exception] = field(default_factory=dict)


def read_media(
    queries: Sequence[Query], image_reader: ImageReader | None, transcriber: Transcriber | None
) -> list[Reading]:
    """Return one reading per query, in order; a query that has its ``image_text`` is left as it is.

    All images go to the reader in one batch, all recordings to the transcriber; one that fails touches no
    other. Without a back-end nothing is read and nothing failed.
    """
    unread = [query for query in queries if not query.image_text]
    images = _each(None if image_reader is None else image_reader.read, [q.images for q in unread])
    heard = _each(None if transcriber is None else transcriber.transcribe, [q.recordings for q in unread])
    return [_reading(q, next(images), next(heard)) if not q.image_text else Reading(q) for q in queries]


def _each(
    call: Callable[[Sequence[_Medium]], list[str]] | None, groups: Sequence[Sequence[_Medium]]
) -> Iterator[list[str | Exception]]:
    """Yield the texts of each group; the back-end is called once for all of them."""
    media = [] if call is None else [medium for group in groups for medium in group]
    texts = iter([] if call is None else isolated(call, media, check=_is_text))
    for group in groups:
        yield [] if call is None else [next(texts) for _ in group]


def _is_text(result: object) -> str | None:
    return None if isinstance(result, str) else f"returned {type(result).__name__} instead of str"


def _reading(query: Query, images: Sequence[str | Exception], heard: Sequence[str | Exception]) -> Reading:
    failures = {f"images[{n}]": text for n, text in enumerate(images) if isinstance(text, Exception)}
    failures |= {f"recordings[{n}]": text for n, text in enumerate(heard) if isinstance(text, Exception)}
    lines = [text for text in images if isinstance(text, str) and text]
    lines += [f"{HEARD} {text}" for text in heard if isinstance(text, str) and text]
    return Reading(replace(query, image_text="\n".join(lines)) if lines else query, failures)
