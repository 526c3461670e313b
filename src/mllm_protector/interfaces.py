"""The sockets: what a back-end must offer to be plugged in.

Each has one method, batch in and batch out: same order, same length, ``[]`` gives ``[]``. Failures
are raised as ``BackendError`` (any other exception is treated the same by the protector). All are
called from one or several threads; a back-end that is not thread-safe must lock inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mllm_protector.types import Detection, Exchange, Image, Query, Recording, RewriteTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "ChatModel",
    "Detoxifier",
    "HarmDetector",
    "ImageReader",
    "Judge",
    "JudgeTask",
    "Judgement",
    "Likelihood",
    "RelevanceMeter",
    "Transcriber",
    "WhiteBoxModel",
]


@dataclass(frozen=True, slots=True)
class Judgement:
    """An evaluator's verdict on one exchange.

    Attributes:
        harmful: True or False; None if the judge's answer could not be parsed (a third outcome).
        score: P(harmful) in [0, 1] if the judge gives one.
        reason: the judge's words, "" if it gives none.
    """

    harmful: bool | None
    score: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JudgeTask(Exchange):
    """An exchange with what a judge should hold it to; any judge may be given one as an exchange.

    Attributes:
        criteria: what counts as harmful (or as wrong) here, in words; "" leaves it to the judge.
        request: what was really asked, in plain words, where the prompt does not say it (the text of
            a typographic image); "" if the prompt says it.
        references: accepted answers, for judges of correctness.
    """

    criteria: str = ""
    request: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a model holds a text.

    Attributes:
        total: log p in nats, the sum over its tokens.
        tokens: how many there are, at least 1.
    """

    total: float
    tokens: int

    @property
    def nll(self) -> float:
        """Mean negative log-likelihood per token, in nats."""
        return -self.total / self.tokens


@runtime_checkable
class HarmDetector(Protocol):
    """Scores exchanges; ``Detection.harm`` is P(harmful).

    One with trained weights says by an attribute ``fingerprint`` (a string) which they are and which of its
    settings move its scores, and by ``folder`` where they lie: a ``calibration.json`` there is applied.
    """

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one detection per exchange, in order."""


@runtime_checkable
class Detoxifier(Protocol):
    """Writes a safe response in place of a harmful one; the protector verifies it.

    A back-end that has more than one try in it says so with an attribute ``attempts`` (1 if there is none);
    ``task.turn`` counts them. One that hands on to others names them by a method ``name_of(task)``.
    """

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        """Return one text per task, in order."""


@runtime_checkable
class RelevanceMeter(Protocol):
    """Tells whether a rewrite still speaks to what was asked."""

    def relevance(self, tasks: Sequence[RewriteTask], texts: Sequence[str], /) -> list[float | None]:
        """Return per rewrite a value in [0, 1], higher is closer to the request; None if it cannot tell."""


@runtime_checkable
class ChatModel(Protocol):
    """A (multimodal) language model that answers queries."""

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        """Return one response per query, in order."""


@runtime_checkable
class ImageReader(Protocol):
    """Reads the text that stands in images."""

    def read(self, images: Sequence[Image], /) -> list[str]:
        """Return the text of each image, "" where there is none, in order."""


@runtime_checkable
class Transcriber(Protocol):
    """Writes down what is said in recordings."""

    def transcribe(self, recordings: Sequence[Recording], /) -> list[str]:
        """Return the words of each recording, "" where nothing is said, in order."""


@runtime_checkable
class Judge(Protocol):
    """Decides for an evaluation whether a response is harmful."""

    def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
        """Return one judgement per exchange, in order."""


@runtime_checkable
class WhiteBoxModel(Protocol):
    """A multimodal model whose insides can be looked at; usually a chat model as well."""

    def log_likelihood(self, queries: Sequence[Query], answers: Sequence[str], /) -> list[Likelihood]:
        """Return log p(answer | query) of each pair, in order."""

    def picture_size(self) -> tuple[int, int]:
        """Return (height, width) of the pictures that ``gradient`` takes."""

    def gradient(
        self, query: Query, pixels: NDArray[np.float32], target: str, /
    ) -> tuple[float, NDArray[np.float32]]:
        """Return mean NLL of ``target`` (nats) and its gradient by pixels [height, width, 3] in [0, 1]."""
