"""Does training data hold items of an evaluation set? Looked for in questions and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mllm_protector.data.rows import open_tables
from mllm_protector.data.similarity import NearIndex, bands_of, digest, fold, sketch
from mllm_protector.data.training_record import TrainingRecord
from mllm_protector.errors import InputError

__all__ = ["Leak", "LeakIndex", "Match", "evaluation_texts"]

_PROMPTS = (
    "prompt", "question", "instruction", "goal", "behavior", "Behavior", "user_input", "text", "query",
    "forbidden_prompt", "Question", "Rephrased Question", "attack_prompt", "sentence",
)  # fmt: skip
_IMAGES = ("image_text", "image_description")
"""Where one of these says something, the prompt is that of all typographic attacks, and no question."""
_RESPONSES = (
    "response", "answer", "completion", "output", "model_output", "generation", "rejected", "chosen",
    "response_0", "response_1", "safe_response", "safe_answer",
)  # fmt: skip
_FEW_WORDS = 3
"""Prompts of fewer words are everybody's."""
_ANSWER_WORDS = 40
"""Answers of fewer words are stock phrases, refusals above all, and prove nothing."""
_INSIDE_WORDS = 7
"""Least words of a prompt that is looked for inside of longer ones."""
_BATCH = 4096


class Match(StrEnum):
    """How a text is in an evaluation set."""

    EXACT = "exact"
    NEAR = "near"
    INSIDE = "inside"


@dataclass(frozen=True, slots=True)
class Leak:
    """One text of a record that stands in an evaluation set.

    Attributes:
        against: name of the evaluation set.
        field: ``prompt``, ``image_text`` or ``response``.
        match: exact, near, or an evaluation prompt inside of a longer text.
        similarity: estimated Jaccard similarity; 1 if exact or inside.
    """

    against: str
    field: str
    match: Match
    similarity: float


def evaluation_texts(path: str | Path) -> Iterator[tuple[bool, str]]:
    """Yield (is it a prompt?, text) from every column of an evaluation set that is named like one.

    Raises:
        InputError: it cannot be read, or no column is.
    """
    for table in open_tables(path, lambda _: None):
        columns: list[list[str]] | None = None
        for _, row in table.rows(None):
            if columns is None:
                columns = [[k for k in names if k in row] for names in (_PROMPTS, _IMAGES, _RESPONSES)]
                if not any(columns):
                    raise InputError(
                        f"{table.name}: none of the columns {', '.join(map(repr, sorted(row)[:12]))} is text "
                        f"to compare; rename one to 'prompt' or 'response'"
                    )
            prompts, images, responses = (
                [value for key in keys if isinstance(value := row.get(key), str) and value]
                for keys in columns
            )
            yield from ((True, value) for value in images or prompts)
            yield from ((False, value) for value in responses)


class LeakIndex:
    """Evaluation texts that records are compared with.

    Args:
        sets: name -> where it lies.
        near: similarity in (0, 1] from which two texts count as the same; a word changed in a short question
            leaves about 0.75.
    """

    def __init__(self, sets: Mapping[str, str | Path], near: float = 0.7) -> None:
        self.sizes: dict[str, int] = {}
        self._near = near
        self._exact: dict[bytes, str] = {}
        self._names: list[str] = []
        self._index = NearIndex()
        self._inside: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for name, path in sets.items():
            before = len(self._exact)
            self._take(name, path)
            self.sizes[name] = len(self._exact) - before

    def find(self, records: Sequence[TrainingRecord]) -> list[list[Leak]]:
        """Return the leaks of each record, in order."""
        fields = ("prompt", "image_text", "response")
        texts = [fold(getattr(record, field)) for record in records for field in fields]
        signatures = sketch(texts)
        bands = bands_of(signatures)
        leaks: list[list[Leak]] = []
        for place in range(len(records)):
            found = []
            for offset, field in enumerate(fields):
                at = place * len(fields) + offset
                least = _ANSWER_WORDS if field == "response" else _FEW_WORDS
                if texts[at].count(" ") + 1 < least or (field == "prompt" and records[place].image_text):
                    continue
                leak = self._match(field, texts[at])
                if leak is None and self._near < 1:
                    number, score = self._index.nearest(signatures[at], bands[at])
                    if score >= self._near:
                        leak = Leak(self._names[number], field, Match.NEAR, round(score, 3))
                if leak is not None:
                    found.append(leak)
            leaks.append(found)
        return leaks

    def _match(self, field: str, text: str) -> Leak | None:
        """Return what is exactly there, or inside; only prompts are looked for inside."""
        if (name := self._exact.get(digest(text))) is not None:
            return Leak(name, field, Match.EXACT, 1.0)
        if field == "response" or not self._inside:
            return None
        words = text.split()
        for start in range(len(words) - _INSIDE_WORDS + 1):
            for name, whole in self._inside.get(tuple(words[start : start + _INSIDE_WORDS]), ()):
                if f" {whole} " in f" {text} ":
                    return Leak(name, field, Match.INSIDE, 1.0)
        return None

    def _take(self, name: str, path: str | Path) -> None:
        fresh: list[str] = []
        for is_prompt, value in evaluation_texts(path):
            text = fold(value)
            words = text.split()
            if len(words) < (_FEW_WORDS if is_prompt else _ANSWER_WORDS) or digest(text) in self._exact:
                continue
            self._exact[digest(text)] = name
            fresh.append(text)
            if is_prompt and len(words) >= _INSIDE_WORDS:
                self._inside.setdefault(tuple(words[:_INSIDE_WORDS]), []).append((name, text))
        for start in range(0, len(fresh), _BATCH):
            signatures = sketch(fresh[start : start + _BATCH])
            for signature, bands in zip(signatures, bands_of(signatures), strict=True):
                self._index.add(signature, bands)
                self._names.append(name)
