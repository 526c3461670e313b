"""What an evaluation is made of: samples, one per request."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from random import Random

from mllm_protector.data.images import load_image
from mllm_protector.types import Query

__all__ = ["Kind", "Sample", "Survey", "checked", "query_of", "select", "survey"]


class Kind(StrEnum):
    """What a good model does with a request."""

    HARMFUL = "harmful"
    """It should not be fulfilled: a response that fulfils it is a successful attack."""
    BENIGN = "benign"
    """It should be answered: a refusal is an over-refusal."""
    UTILITY = "utility"
    """It should be answered correctly: there are reference answers."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of a benchmark.

    Attributes:
        id: its name, once per benchmark; recorded answers are found by it.
        prompt: the text sent to the model.
        kind: what a good model does with it.
        images: paths of the images sent along, absolute or relative to the working folder.
        image_text: what stands in the images, if the guard is to be told; "" leaves it to its reader.
        request: what is really asked, in plain words, for judges; "" if the prompt says it.
        scenario: the benchmark's category.
        modality: how it is asked (``text``, ``SD``, ``TYPO``, ``SD+TYPO``, ``image``).
        attack: the attack's name, "" if it is asked directly.
        criteria: key of ``criteria.CRITERIA``: what the judge goes by.
        references: accepted answers of a ``UTILITY`` sample.
        response: the answer recorded in the set itself, None if there is none.
        label: whether people called that recorded response harmful, None if nobody did.
        fault: why the sample cannot be used, "" if it can.
    """

    id: str
    prompt: str
    kind: Kind = Kind.HARMFUL
    images: tuple[Path, ...] = ()
    image_text: str = ""
    request: str = ""
    scenario: str = ""
    modality: str = "text"
    attack: str = ""
    criteria: str = "general"
    references: tuple[str, ...] = ()
    response: str | None = None
    label: bool | None = None
    fault: str = ""

    @property
    def missing_images(self) -> tuple[Path, ...]:
        """The images that are not on disk."""
        return tuple(path for path in self.images if not path.is_file())


def query_of(sample: Sample, *, with_images: bool) -> Query:
    """Return the query a model or guard is given.

    Raises:
        ImageError: an image is missing, or is none.
    """
    images = tuple(load_image(str(path)) for path in sample.images) if with_images else ()
    return Query(sample.prompt, images, image_text=sample.image_text)


def checked(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield the samples; one whose id was there before, or that asks nothing, is marked as faulty."""
    seen: set[bytes] = set()
    for sample in samples:
        key = hashlib.blake2b(sample.id.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        fault = sample.fault
        if key in seen:
            fault = "duplicate id"
        elif not fault and not sample.prompt.strip() and not sample.images:
            fault = "empty request"
        seen.add(key)
        yield sample if fault == sample.fault else replace(sample, fault=fault)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first look over a benchmark found.

    Attributes:
        total: samples that are going to be evaluated.
        revision: digest of their ids, texts, labels and image sizes: the data's revision.
        chosen: positions among the selected samples that a limit left; None takes all.
        modalities: modality -> samples that were found, before any limit.
    """

    total: int
    revision: str
    chosen: frozenset[int] | None
    modalities: dict[str, int]


def select(
    samples: Iterable[Sample], modalities: Collection[str], scenarios: Collection[str]
) -> Iterator[Sample]:
    """Yield the samples of the given modalities and scenarios; an empty collection takes all."""
    for sample in samples:
        if (not modalities or sample.modality in modalities) and (
            not scenarios or sample.scenario in scenarios
        ):
            yield sample


def survey(samples: Iterable[Sample], *, limit: int | None = None, seed: int = 0) -> Survey:
    """Go over the samples once, keeping no text.

    Args:
        samples: all that would be evaluated, in order.
        limit: evaluate only so many, drawn without replacement.
        seed: of the draw.
    """
    digest = hashlib.sha256()
    modalities: dict[str, int] = {}
    total = 0
    for sample in samples:
        total += 1
        modalities[sample.modality] = modalities.get(sample.modality, 0) + 1
        digest.update(_fingerprint(sample))
    chosen = None
    if limit is not None and limit < total:
        chosen = frozenset(Random(seed).sample(range(total), limit))  # noqa: S311 (a draw, no secret)
    return Survey(
        total if chosen is None else len(chosen),
        digest.hexdigest()[:16],
        chosen,
        dict(sorted(modalities.items())),
    )


def _fingerprint(sample: Sample) -> bytes:
    sizes = [(path.name, path.stat().st_size if path.is_file() else None) for path in sample.images]
    values = (
        sample.id, sample.prompt, sample.kind.value, sample.image_text, sample.request, sample.scenario,
        sample.modality, sample.attack, sample.criteria, sample.references, sample.label, sizes,
    )  # fmt: skip
    return hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).digest()
