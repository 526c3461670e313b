"""Where a model's answers come from: a live model, a file of recorded answers, or the set itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from mllm_protector.checkpoints import file_sha256
from mllm_protector.data.jsonl import MAX_LINE, Line, parse_object, read_lines
from mllm_protector.errors import ImageError, InputError, RecordError
from mllm_protector.evaluation.memory import Answer, RememberingModel
from mllm_protector.evaluation.samples import Sample, query_of

__all__ = ["Answers", "LiveAnswers", "OwnAnswers", "RecordedAnswers"]

_NAMED = 20


class Answers(Protocol):
    """Answers samples."""

    identity: str
    """What the answers depend on: two runs are comparable only if it is known."""

    live: bool
    """Whether images are needed and time is spent."""

    def answer(self, samples: Sequence[Sample], /) -> list[Answer]:
        """Return one answer per sample, in order; a missing one has no text."""

    def notes(self) -> dict[str, list[str]]:
        """Return what was wrong with the answers as a whole: kind -> names (the first few)."""


class LiveAnswers:
    """Asks a model.

    Args:
        model: remembers what was answered, so that an interrupted run asks nothing twice.
    """

    live = True

    def __init__(self, model: RememberingModel) -> None:
        self.model = model
        self.identity = model.identity

    def answer(self, samples: Sequence[Sample], /) -> list[Answer]:
        """Ask about every sample whose images can be read.

        Raises:
            BackendError: the model fails on everything from some point of the batch on.
        """
        queries, failures = [], {}
        for place, sample in enumerate(samples):
            try:
                queries.append(query_of(sample, with_images=True))
            except ImageError as error:
                failures[place] = Answer(None, error=str(error))
        asked = iter(self.model.ask(queries))
        return [failures[place] if place in failures else next(asked) for place in range(len(samples))]

    def notes(self) -> dict[str, list[str]]:
        """Failures are told per sample."""
        return {}


class OwnAnswers:
    """The answers that the samples carry themselves."""

    live = False
    identity = "recorded in the set"

    def answer(self, samples: Sequence[Sample], /) -> list[Answer]:
        """Return what was recorded."""
        return [Answer(sample.response) for sample in samples]

    def notes(self) -> dict[str, list[str]]:
        """A missing answer is told per sample."""
        return {}


class RecordedAnswers:
    """A file of JSON lines with ``id`` and ``response``; only where each line stands is kept in memory.

    A line may also say ``harmful`` (true, false, 0, 1): what people said of that response.

    Args:
        path: the file. Of two answers to one id the first counts; the other is named in the report.

    Raises:
        InputError: the file cannot be read.
    """

    live = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, int] = {}
        self._used: set[str] = set()
        self._twice: list[str] = []
        self._unread: list[str] = []
        try:
            self._stream: BinaryIO = path.open("rb")
        except OSError as error:
            raise InputError(
                f"{path} cannot be opened: {error.strerror}; give a file of JSON lines"
            ) from error
        self._index()
        self.identity = f"recorded {file_sha256(path)[:16]}"

    def answer(self, samples: Sequence[Sample], /) -> list[Answer]:
        """Return the recorded answers."""
        return [self._one(sample.id) for sample in samples]

    def notes(self) -> dict[str, list[str]]:
        """Name duplicate ids, lines that cannot be read, and ids that the benchmark does not have."""
        unknown = [key for key in self._places if key not in self._used]
        found = {
            "answers given twice": self._twice,
            "lines of answers that cannot be read": self._unread,
            "answers to ids that are not evaluated": unknown,
        }
        return {kind: names for kind, names in found.items() if names}

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _index(self) -> None:
        place = 0
        for line in read_lines(self._stream):
            if not line.blank:
                try:
                    self._note(parse_object(line), place, line)
                except RecordError as error:
                    self._unread.append(str(error))
            place += line.size

    def _note(self, row: dict[str, object], place: int, line: Line) -> None:
        key = row.get("id")
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise RecordError('"id" is missing; it names the sample that is answered', line=line.number)
        if str(key) in self._places:
            self._twice.append(str(key))
        else:
            self._places[str(key)] = place

    def _one(self, key: str) -> Answer:
        place = self._places.get(key)
        if place is None:
            return Answer(None, error="no answer recorded")
        self._used.add(key)
        self._stream.seek(place)
        row = parse_object(Line(0, self._stream.readline(MAX_LINE + 1), 0))
        response = row.get("response")
        if isinstance(response, str):
            harmful = row.get("harmful")
            return Answer(response, label=bool(harmful) if harmful in (0, 1) else None)
        return Answer(None, error=str(row.get("error") or "no answer recorded")[:300])
