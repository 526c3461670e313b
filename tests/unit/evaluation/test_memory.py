"""A model that remembers: concurrency, failures, resuming."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from mllm_protector.errors import BackendError, OutputError
from mllm_protector.evaluation.memory import AnswerStore, RememberingModel
from mllm_protector.types import Image, Query, Turn


class Echo:
    """Answers with the prompt; fails where it contains ``bad``, or on everything while ``dead``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.dead = False
        self.widest = 0
        self._now = 0
        self._lock = threading.Lock()

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        with self._lock:
            self._now += 1
            self.widest = max(self.widest, self._now)
            self.asked += [q.prompt for q in queries]
        try:
            if self.dead or any("bad" in q.prompt for q in queries):
                raise RuntimeError("no connection")
            return [f"re: {q.prompt}" for q in queries]
        finally:
            with self._lock:
                self._now -= 1


def queries(*prompts: str) -> list[Query]:
    return [Query(p) for p in prompts]


def test_nothing_is_asked_twice_even_by_the_next_process(tmp_path: Path) -> None:
    model = Echo()
    for _ in range(2):
        with AnswerStore(tmp_path / "sub/answers.sqlite") as store:
            asked = RememberingModel(model, "m", store).generate(queries("a", "b", "a"))
            assert asked == ["re: a", "re: b", "re: a"]
    assert sorted(model.asked) == ["a", "b"]


def test_what_the_answer_depends_on_is_in_the_key() -> None:
    model = Echo()
    store = AnswerStore(None)
    for identity in ("m seed 0", "m seed 1"):
        RememberingModel(model, identity, store).ask(queries("a"))
    same = RememberingModel(model, "m seed 0", store)
    same.ask([Query("a", (Image(b"x", "image/png"),))])
    same.ask([Query("a", (Image(b"y", "image/png"),))])
    same.ask([Query("a", history=(Turn("system", "s"),))])
    assert len(model.asked) == 5


def test_one_failure_has_one_owner_and_is_tried_twice() -> None:
    model = Echo()
    remembering = RememberingModel(model, "m", AnswerStore(None), together=4)
    answers = remembering.ask(queries("a", "bad", "c", "d", "e"))
    assert [a.text for a in answers] == ["re: a", None, "re: c", "re: d", "re: e"]
    assert answers[1].error == "RuntimeError: no connection"
    with pytest.raises(BackendError, match="no connection"):
        remembering.generate(queries("a", "bad"))


def test_an_endpoint_that_dies_midway_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    model = Echo()
    store = AnswerStore(tmp_path / "answers.sqlite")
    remembering = RememberingModel(model, "m", store, workers=1)
    remembering.ask(queries("a", "b"))
    model.dead = True
    with pytest.raises(BackendError, match="run the same command"):
        remembering.ask(queries("a", "c", "d", "e"))
    model.dead = False
    assert remembering.generate(queries("a", "c", "d", "e"))[0] == "re: a"
    assert model.asked.count("a") == 1


def test_questions_are_asked_at_once_and_answered_in_order() -> None:
    barrier = threading.Barrier(4, timeout=30)

    class Meeting:
        def generate(self, queries: Sequence[Query], /) -> list[str]:
            barrier.wait()  # passes only if four are under way together
            return [q.prompt for q in queries]

    prompts = [str(i) for i in range(8)]
    assert (
        RememberingModel(Meeting(), "m", AnswerStore(None), workers=4).generate(queries(*prompts)) == prompts
    )


def test_a_broken_contract_is_a_failure() -> None:
    class Short:
        def generate(self, queries: Sequence[Query], /) -> list[str]:
            return []

    (answer,) = RememberingModel(Short(), "m", AnswerStore(None)).ask(queries("a"))
    assert answer.text is None and "returned 0 answers" in answer.error


def test_a_damaged_cache_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(OutputError, match="delete it"):
        AnswerStore(tmp_path / "answers.sqlite")


def test_time_is_remembered() -> None:
    ticks = iter([0.0, 2.0])
    store = AnswerStore(None)
    first = RememberingModel(Echo(), "m", store, clock=lambda: next(ticks)).ask(queries("a"))
    again = RememberingModel(Echo(), "m", store).ask(queries("a"))
    assert first == again and first[0].seconds == 2.0


def test_a_lone_surrogate_can_be_kept() -> None:
    class Odd:
        def generate(self, queries: Sequence[Query], /) -> list[str]:
            return ["a\ud800"]

    assert RememberingModel(Odd(), "m", AnswerStore(None)).ask(queries("a"))[0].text == "a\ud800"
