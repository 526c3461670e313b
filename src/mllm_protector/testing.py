"""Doubles for tests, ours and yours: scripted back-ends that need no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from mllm_protector.interfaces import Judgement
from mllm_protector.text.sentences import sentences
from mllm_protector.types import Detection, Exchange, Image, Query, Recording, RewriteTask, Span

__all__ = [
    "FailingBackend",
    "ScriptedChatModel",
    "ScriptedDetector",
    "ScriptedDetoxifier",
    "ScriptedImageReader",
    "ScriptedTranscriber",
]


class ScriptedDetector:
    """Scores a response by the words it contains.

    Args:
        words: word (any case, found anywhere in the response) -> P(harmful); the highest counts.
        categories: word -> hazard category code, which gets the word's probability.
        otherwise: P(harmful) of a response with none of the words.
        read_images: also look for the words in ``image_text``.
    """

    def __init__(
        self,
        words: Mapping[str, float] | None = None,
        categories: Mapping[str, str] | None = None,
        *,
        otherwise: float = 0.01,
        read_images: bool = False,
    ) -> None:
        self.words = {
            word.lower(): harm for word, harm in ({"harmful": 0.9} if words is None else words).items()
        }
        self.categories = {word.lower(): code for word, code in (categories or {}).items()}
        self.otherwise = otherwise
        self.read_images = read_images
        self.calls: list[int] = []

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return the scripted detections; ``calls`` keeps the size of each batch."""
        self.calls.append(len(exchanges))
        return [self._one(exchange) for exchange in exchanges]

    def _one(self, exchange: Exchange) -> Detection:
        text = exchange.response + (" " + exchange.query.image_text if self.read_images else "")
        found = {word: harm for word, harm in self.words.items() if word in text.lower()}
        categories: dict[str, float] = {}
        for word, harm in found.items():
            if word in self.categories:
                code = self.categories[word]
                categories[code] = max(harm, categories.get(code, 0.0))
        harm = max(found.values(), default=self.otherwise)
        return Detection(harm, categories, tuple(self._spans(exchange.response)) if harm >= 0.5 else ())

    def _spans(self, response: str) -> Iterator[Span]:
        for start, end in sentences(response):
            piece = response[start:end].lower()
            harm = max((h for word, h in self.words.items() if word in piece), default=0.0)
            if harm >= 0.5:
                yield Span(start, end, harm)


class ScriptedDetoxifier:
    """Writes what it is told to.

    Args:
        rewrite: the text, or a function of the task.
    """

    def __init__(self, rewrite: str | Callable[[RewriteTask], str] = "Here is a safe answer.") -> None:
        self.rewrite = rewrite
        self.tasks: list[RewriteTask] = []

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        """Return the scripted texts; ``tasks`` keeps what was asked."""
        self.tasks.extend(tasks)
        return [self.rewrite if isinstance(self.rewrite, str) else self.rewrite(task) for task in tasks]


class ScriptedChatModel:
    """Answers with the next of the given responses, then from the start again."""

    def __init__(self, responses: Sequence[str]) -> None:
        self.responses = tuple(responses)
        self.queries: list[Query] = []

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        """Return the scripted responses."""
        asked = len(self.queries)
        self.queries.extend(queries)
        return [self.responses[(asked + i) % len(self.responses)] for i in range(len(queries))]


class ScriptedImageReader:
    """Reads images whose bytes are UTF-8 text as that text, any other as nothing."""

    def read(self, images: Sequence[Image], /) -> list[str]:
        """Return the texts."""
        return [image.data.decode("utf-8", errors="ignore") for image in images]


class ScriptedTranscriber:
    """Hears recordings whose bytes are UTF-8 text as that text, any other as nothing."""

    def transcribe(self, recordings: Sequence[Recording], /) -> list[str]:
        """Return the texts."""
        return [recording.data.decode("utf-8", errors="ignore") for recording in recordings]


class FailingBackend:
    """Every socket at once, failing on the items whose text matches.

    Args:
        pattern: regular expression searched in the response, prompt, or bytes of an image or a
            recording; "" fails always.
        inner: the back-end that answers the other items, if any is needed.
    """

    def __init__(self, pattern: str = "", inner: ScriptedDetector | ScriptedDetoxifier | None = None) -> None:
        self.pattern = re.compile(pattern)
        self.inner = inner

    def _check(self, texts: Sequence[str]) -> None:
        for text in texts:
            if self.pattern.search(text):
                raise RuntimeError("scripted failure")

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Fail, or ask the inner detector."""
        self._check([exchange.response for exchange in exchanges])
        return self.inner.detect(exchanges) if isinstance(self.inner, ScriptedDetector) else []

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        """Fail, or ask the inner detoxifier."""
        self._check([task.exchange.response for task in tasks])
        return self.inner.detoxify(tasks) if isinstance(self.inner, ScriptedDetoxifier) else []

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        """Fail, or answer nothing."""
        self._check([query.prompt for query in queries])
        return ["" for _ in queries]

    def read(self, images: Sequence[Image], /) -> list[str]:
        """Fail, or read nothing."""
        self._check([image.data.decode("utf-8", errors="ignore") for image in images])
        return ["" for _ in images]

    def transcribe(self, recordings: Sequence[Recording], /) -> list[str]:
        """Fail, or hear nothing."""
        self._check([recording.data.decode("utf-8", errors="ignore") for recording in recordings])
        return ["" for _ in recordings]

    def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
        """Fail, or leave it open."""
        self._check([exchange.response for exchange in exchanges])
        return [Judgement(harmful=None) for _ in exchanges]
