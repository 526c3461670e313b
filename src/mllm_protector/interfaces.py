"""The sockets: what a back-end must offer to be plugged in.

Each has one method, batch in and batch out: same order, same length, ``[]`` gives ``[]``. Failures
are raised as ``BackendError`` (any other exception is treated the same by the protector). All are
called from one or several threads; a back-end that is not thread-safe must lock inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mllm_protector.types import Detection, Exchange, Image, Query, RewriteTask

__all__ = ["ChatModel", "Detoxifier", "HarmDetector", "ImageReader", "Judge", "Judgement"]


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


@runtime_checkable
class HarmDetector(Protocol):
    """Scores exchanges; ``Detection.harm`` is P(harmful)."""

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one detection per exchange, in order."""


@runtime_checkable
class Detoxifier(Protocol):
    """Writes a safe response in place of a harmful one; the protector verifies it."""

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        """Return one text per task, in order."""


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
class Judge(Protocol):
    """Decides for an evaluation whether a response is harmful."""

    def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
        """Return one judgement per exchange, in order."""
