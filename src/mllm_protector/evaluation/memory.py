"""A chat model with a memory on disk: nothing is asked twice, and one failure has one owner."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mllm_protector.errors import BackendError, OutageError, OutputError
from mllm_protector.interfaces import ChatModel
from mllm_protector.types import Query

__all__ = ["Answer", "AnswerStore", "RememberingModel"]

_DEAD = 3  # so many failures in a row at the end of a batch: the endpoint is gone, not the question odd


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said.

    Attributes:
        text: the answer, None if there is none.
        seconds: how long it took when it was first asked, 0 if unknown.
        error: why there is none.
        label: whether people called it harmful, where that was recorded with it.
    """

    text: str | None
    seconds: float = 0.0
    error: str = ""
    label: bool | None = None


class AnswerStore:
    """Answers on disk, in one SQLite file; a crash leaves it whole.

    Args:
        path: the file, made if it is not there; None keeps answers in memory only.

    Raises:
        OutputError: the file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(":memory:" if path is None else path, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, text TEXT NOT NULL, seconds REAL "
                "NOT NULL)"
            )
            self._base.commit()
        except (sqlite3.Error, OSError) as error:
            raise OutputError(
                f"the cache {path} cannot be used ({error}); delete it, or give another"
            ) from error

    def get(self, key: str) -> Answer | None:
        """Return what was answered before, None if nothing was."""
        row = self._base.execute("SELECT text, seconds FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else Answer(row[0], row[1])

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            with self._base:
                text = (answer.text or "").encode("utf-8", "replace").decode("utf-8")
                self._base.execute(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, text, answer.seconds)
                )
        except sqlite3.Error as error:
            raise OutputError(f"the cache {self.path} cannot be written: {error}; free some space") from error

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RememberingModel:
    """Asks a chat model, several questions at a time, and remembers.

    Args:
        model: the model.
        identity: what its answers depend on (name, address, settings, seed): part of every key.
        store: where answers are kept.
        workers: questions under way at once.
        together: questions per call; more than one suits a model that works in batches itself.
        clock: tells the seconds.
    """

    def __init__(
        self,
        model: ChatModel,
        identity: str,
        store: AnswerStore,
        *,
        workers: int = 8,
        together: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.model = model
        self.identity = identity
        self.calls = 0
        self._store = store
        self._workers = workers
        self._together = together
        self._clock = clock

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        """Return one response per query; what was answered is kept even if one failed.

        Raises:
            BackendError: a query failed.
            OutageError: see ``ask``.
        """
        answers = self.ask(queries)
        failed = next((a for a in answers if a.text is None), None)
        if failed is not None:
            raise BackendError(failed.error)
        return [a.text or "" for a in answers]

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """Return one answer per query, in order; a query that fails has no text.

        Raises:
            OutageError: the last three failed and fail again when asked once more, or all did: whatever
                was answered is remembered, so the same command goes on from here.
        """
        keys = [_key(self.identity, query) for query in queries]
        answers = [self._store.get(key) for key in keys]
        self._fill(queries, keys, answers)
        failed = [place for place, a in enumerate(answers) if a is None or a.text is None]
        if failed:
            self._fill(queries, keys, answers)  # once more: a hiccup is no failure
        result = [a or Answer(None, error="not asked") for a in answers]
        tail = result[-min(_DEAD, len(result)) :]
        if tail and len(queries) > 1 and all(a.text is None for a in tail):
            raise OutageError(
                f"{self.identity}: the last {len(tail)} questions failed ({tail[-1].error}); see that it "
                "answers again, then run the same command: it goes on from here"
            )
        return result

    def _fill(self, queries: Sequence[Query], keys: Sequence[str], answers: list[Answer | None]) -> None:
        """Ask what is still open; each key once, however often it comes."""
        first: dict[str, int] = {}
        for place, (key, answer) in enumerate(zip(keys, answers, strict=True)):
            if answer is None or answer.text is None:
                first.setdefault(key, place)
        places = list(first.values())
        groups = [places[i : i + self._together] for i in range(0, len(places), self._together)]
        if not groups:
            return
        with ThreadPoolExecutor(min(self._workers, len(groups))) as pool:
            futures: dict[Future[list[Answer]], list[int]] = {
                pool.submit(self._call, [queries[place] for place in group]): group for group in groups
            }
            for future in as_completed(futures):
                for place, answer in zip(futures[future], future.result(), strict=True):
                    answers[place] = answer
                    if answer.text is not None:
                        self._store.put(keys[place], answer)
        for place, key in enumerate(keys):  # questions that came twice
            if key in first:
                answers[place] = answers[first[key]]

    def _call(self, queries: Sequence[Query]) -> list[Answer]:
        """Ask once; halve a group that fails until the failure has one owner."""
        started = self._clock()
        try:
            texts = self.model.generate(queries)
            if len(texts) != len(queries) or not all(isinstance(text, str) for text in texts):
                raise BackendError(f"returned {len(texts)} answers to {len(queries)} questions")
        except Exception as error:  # noqa: BLE001 (whatever a model raises is that question's failure)
            if len(queries) == 1:
                words = " ".join(str(error).split())[:300]
                return [Answer(None, error=f"{type(error).__name__}: {words}")]
            middle = len(queries) // 2
            return [*self._call(queries[:middle]), *self._call(queries[middle:])]
        self.calls += len(queries)
        took = (self._clock() - started) / len(queries)
        return [Answer(text, took) for text in texts]


def _key(identity: str, query: Query) -> str:
    digest = hashlib.sha256(identity.encode())
    turns = [(turn.role, turn.content) for turn in query.history]
    digest.update(repr((query.prompt, query.image_text, turns)).encode("utf-8", "surrogatepass"))
    for image in query.images:
        digest.update(hashlib.sha256(image.data).digest())
    return digest.hexdigest()
