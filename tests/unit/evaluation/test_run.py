"""A run: streaming, judging once, resuming anywhere, and a set at scale."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.evaluation.sets import Odd, image, lines

from mllm_protector.data.sinks import FileSink
from mllm_protector.errors import BackendError, OutageError
from mllm_protector.evaluation.answers import Answers, LiveAnswers, OwnAnswers, RecordedAnswers
from mllm_protector.evaluation.defences import Guard
from mllm_protector.evaluation.memory import AnswerStore, RememberingModel
from mllm_protector.evaluation.panel import Panel, Seat
from mllm_protector.evaluation.rows import Row, from_dict
from mllm_protector.evaluation.run import Job, run
from mllm_protector.evaluation.samples import Kind, Sample
from mllm_protector.policies import load_policy
from mllm_protector.protector import Protector
from mllm_protector.testing import FailingBackend, ScriptedChatModel, ScriptedDetector, ScriptedDetoxifier


def guard() -> Guard:
    protector = Protector(
        ScriptedDetector(), load_policy("default"), {"s": ScriptedDetoxifier("A safe text.")}
    )
    return Guard("protector", protector, "g", clock=lambda: 0.0)


def job(given: list[Sample], judge: Odd | None = None, **fields: object) -> Job:
    panel = Panel((Seat("odd", judge or Odd(), "odd"),), (Seat("exact", Odd(), "exact"),))
    values: dict[str, object] = {
        "samples": lambda: iter(given), "total": len(given), "answers": OwnAnswers(),
        "defences": (guard(),), "panel": panel, "batch_size": 3,
    }  # fmt: skip
    return Job(**values | fields)  # type: ignore[arg-type]


def rows(path: Path) -> list[Row]:
    return [from_dict(json.loads(line)) for line in path.read_text().splitlines()]


def sample(key: str, response: str | None = "Fine.", **fields: object) -> Sample:
    return Sample(key, "a prompt", response=response, **fields)  # type: ignore[arg-type]


def test_every_sample_has_a_row_and_only_usable_ones_have_figures(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    given = [
        sample("ok", "harmful text"), sample("none", None), sample("empty", "  "),
        sample("bad", fault="broken"),
        sample("recorded without its image", images=(tmp_path / "b.png",)),
    ]  # fmt: skip
    assert run(job(given), FileSink(tmp_path / "s.jsonl", {})) == 5
    found = {r.id: r for r in rows(tmp_path / "s.jsonl")}
    assert [r.status for r in found.values()] == ["ok", "no answer", "empty answer", "unusable", "ok"]
    after = found["ok"].after["protector"]
    assert (after.response, after.action, after.harm, after.unchanged) == (
        "A safe text.",
        "detoxify",
        0.9,
        False,
    )
    before = found["ok"].before
    assert before is not None and before.verdicts == {"odd": True} and after.verdicts == {"odd": False}


def test_a_live_run_needs_its_images(tmp_path: Path) -> None:
    live = LiveAnswers(RememberingModel(ScriptedChatModel(["Fine."]), "m", AnswerStore(None)))
    given = [sample("a", images=(tmp_path / "b.png",)), sample("b")]
    run(job(given, answers=live), FileSink(tmp_path / "s.jsonl", {}))
    first, second = rows(tmp_path / "s.jsonl")
    assert (first.status, first.problem) == ("unusable", "image missing: b.png")
    assert second.before is not None and second.before.response == "Fine."


def test_a_text_is_judged_once_and_only_where_it_matters(tmp_path: Path) -> None:
    judge = Odd()
    given = [sample("h"), sample("b", kind=Kind.BENIGN), sample("u", kind=Kind.UTILITY, references=("Fine",))]
    run(job(given, judge), FileSink(tmp_path / "s.jsonl", {}))
    assert [e.response for e in judge.judged] == ["Fine."]  # unchanged: the same text, the same verdict
    utility = rows(tmp_path / "s.jsonl")[2]
    assert utility.before is not None and utility.before.verdicts == {}
    assert "exact" in utility.before.accuracy


def test_labels_lead_for_the_recorded_answer_only(tmp_path: Path) -> None:
    panel = Panel((Seat("odd", Odd(), "odd"),), labels=True)
    given = [sample("a", "harmful", label=False), sample("b", "fine", label=True)]
    run(job(given, panel=panel), FileSink(tmp_path / "s.jsonl", {}))
    first, second = rows(tmp_path / "s.jsonl")
    assert first.before is not None and second.before is not None
    assert first.before.verdicts == {"labels": False, "odd": True}
    assert first.after["protector"].verdicts == {
        "labels": False,
        "odd": False,
    }  # a new text: the judge's word
    assert second.after["protector"].verdicts == {"labels": True, "odd": False}


def test_labels_may_come_with_the_recorded_answers(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"id": "a", "response": "Fine.", "harmful": 1}])
    answers = RecordedAnswers(path)
    panel = Panel((Seat("odd", Odd(), "odd"),), labels=True)
    run(job([sample("a", None)], panel=panel, answers=answers), FileSink(tmp_path / "s.jsonl", {}))
    answers.close()
    (row,) = rows(tmp_path / "s.jsonl")
    assert row.label is True and row.before is not None
    assert row.before.verdicts == {"labels": True, "odd": False}


def test_a_judge_that_fails_on_one_answer_leaves_it_open(tmp_path: Path) -> None:
    class Picky(Odd):
        def judge(self, exchanges, /):  # type: ignore[no-untyped-def]
            if any("poison" in e.response for e in exchanges):
                raise RuntimeError("no")
            return super().judge(exchanges)

    given = [sample("a"), sample("b", "poison"), sample("c", "harmful")]
    run(job(given, Picky()), FileSink(tmp_path / "s.jsonl", {}))
    verdicts = [r.before.verdicts["odd"] for r in rows(tmp_path / "s.jsonl") if r.before]
    assert verdicts == [False, None, True]


def test_a_judge_that_fails_on_everything_stops_the_run(tmp_path: Path) -> None:
    panel = Panel((Seat("down", FailingBackend(), "down"),))
    with pytest.raises(BackendError, match="fails on everything"):
        run(job([sample("a"), sample("b", "x")], panel=panel), FileSink(tmp_path / "s.jsonl", {}))
    assert not (tmp_path / "s.jsonl").exists()


def test_a_judge_whose_endpoint_dies_leaves_no_open_verdicts_behind(tmp_path: Path) -> None:
    class Gone(Odd):
        def judge(self, exchanges, /):  # type: ignore[no-untyped-def]
            raise OutageError("gone")

    with pytest.raises(OutageError):
        run(job([sample("a")], Gone()), FileSink(tmp_path / "s.jsonl", {}))
    run(job([sample("a")]), FileSink(tmp_path / "s.jsonl", {}))
    assert [r.before.verdicts for r in rows(tmp_path / "s.jsonl") if r.before] == [{"odd": False}]


class _DiesError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2, 3])
def test_interrupted_anywhere_and_resumed_the_rows_are_the_same(tmp_path: Path, after: int) -> None:
    given = [sample(str(i), "harmful" if i % 3 else "fine") for i in range(11)]
    run(job(given), FileSink(tmp_path / "whole.jsonl", {}))

    class Mortal(OwnAnswers):
        left = after

        def answer(self, samples, /):  # type: ignore[no-untyped-def]
            if self.left == 0:
                raise _DiesError
            self.left -= 1
            return super().answer(samples)

    mortal: Answers = Mortal()
    with pytest.raises(_DiesError):
        run(job(given, answers=mortal), FileSink(tmp_path / "resumed.jsonl", {}))
    assert not (tmp_path / "resumed.jsonl").exists()
    judge = Odd()
    run(job(given, judge), FileSink(tmp_path / "resumed.jsonl", {}))
    assert (tmp_path / "resumed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len(judge.judged) < 2 * len(given)  # what was done is not judged again


def test_5040_recorded_answers_in_constant_memory(tmp_path: Path) -> None:
    """10 MB of answers pass through; what stays is counted in hundreds of kilobytes."""
    text = "A sentence of an answer that goes on for a while. " * 40

    def stream(count: int) -> Iterator[Sample]:
        for i in range(count):
            yield Sample(
                str(i), "p", response=f"{i} {'harmful ' if i % 5 == 0 else ''}{text}", scenario=f"s{i % 13}"
            )

    class Forgetful:
        def judge(self, exchanges, /):  # type: ignore[no-untyped-def]
            return Odd().judge(exchanges)

    def peak(count: int) -> int:
        protector = Protector(_Forgetful(), load_policy("default"), {"s": _Rewriter()})
        work = job(
            [], samples=lambda: stream(count), total=count, batch_size=64,
            defences=(Guard("protector", protector, "g"),), panel=Panel((Seat("odd", Forgetful(), "odd"),)),
        )  # fmt: skip
        tracemalloc.start()
        run(work, FileSink(tmp_path / f"{count}.jsonl", {}))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    small, large = peak(504), peak(5040)
    assert (tmp_path / "5040.jsonl").stat().st_size > 10e6
    assert large < small * 1.5 + 2e5


class _Forgetful:
    """Scores by one word, and keeps nothing."""

    def detect(self, exchanges, /):  # type: ignore[no-untyped-def]
        from mllm_protector.types import Detection

        return [Detection(0.9 if "harmful" in e.response else 0.01) for e in exchanges]


class _Rewriter:
    def detoxify(self, tasks, /):  # type: ignore[no-untyped-def]
        return ["A safe text." for _ in tasks]
