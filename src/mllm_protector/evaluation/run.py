"""An evaluation from the first sample to the last: answer, defend, judge, write; resumable anywhere.

Samples stream through in batches; a batch is written whole or not at all, so a run that was interrupted
goes on behind the last batch written and ends with the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mllm_protector.backends.judges.refusal import refusal_of
from mllm_protector.data.jsonl import to_json
from mllm_protector.data.sinks import Progress, Sink
from mllm_protector.data.source import Position
from mllm_protector.errors import ImageError
from mllm_protector.evaluation.answers import Answers
from mllm_protector.evaluation.criteria import criterion
from mllm_protector.evaluation.defences import Defence, Delivered
from mllm_protector.evaluation.memory import Answer
from mllm_protector.evaluation.panel import LABELS, Panel
from mllm_protector.evaluation.rows import OK, Outcome, Row, to_dict
from mllm_protector.evaluation.samples import Kind, Sample, query_of
from mllm_protector.interfaces import Judgement, JudgeTask
from mllm_protector.text.relevance import relevance
from mllm_protector.types import Exchange, Query

__all__ = ["Job", "Watcher", "run"]


class Watcher(Protocol):
    """Hears how a run goes."""

    def started(self, done: int, total: int, /) -> None:
        """The run begins behind ``done`` samples."""

    def advanced(self, done: int, /) -> None:
        """So many samples are written."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to evaluate.

    Attributes:
        samples: gives the samples, from the first one each time it is called.
        total: how many they are.
        answers: answers them.
        defences: what is compared with the bare answers.
        panel: who judges.
        with_images: read the images even if the answers are recorded (a guard that reads images, a
            defence that asks the model again).
        batch_size: samples taken together.
    """

    samples: Callable[[], Iterable[Sample]]
    total: int
    answers: Answers
    defences: tuple[Defence, ...]
    panel: Panel
    with_images: bool = False
    batch_size: int = 32


@dataclass(slots=True)
class _Case:
    """A sample on its way."""

    sample: Sample
    answer: Answer
    status: str = OK
    problem: str = ""
    query: Query | None = None

    @property
    def exchange(self) -> Exchange:
        assert self.query is not None and self.answer.text is not None, "only usable cases go on"
        return Exchange(self.query, self.answer.text)


def run(job: Job, sink: Sink, watcher: Watcher | None = None) -> int:
    """Evaluate every sample into ``sink`` and return how many there were.

    Raises:
        BackendError: the model or a judge fails on everything; run the same again to go on.
        OutputError: the rows cannot be written.
    """
    progress = sink.start()
    done = progress.position.line
    try:
        if watcher:
            watcher.started(done, job.total)
        for last, batch in _batches(job.samples(), job.batch_size):
            if last <= done:  # written before the interruption; the answers learn that it was used
                if not job.answers.live:
                    job.answers.answer(batch)
                continue
            rows = _evaluate(job, batch)
            data = b"".join(to_json(to_dict(row)) + b"\n" for row in rows)
            done = last
            progress = Progress(position=Position(line=done), written=done)
            sink.write(data, progress)
            if watcher:
                watcher.advanced(done)
        sink.finish()
    except BaseException:
        sink.suspend()
        raise
    return done


def _batches(samples: Iterable[Sample], size: int) -> Iterator[tuple[int, list[Sample]]]:
    batch: list[Sample] = []
    count = 0
    for count, sample in enumerate(samples, start=1):
        batch.append(sample)
        if len(batch) == size:
            yield count, batch
            batch = []
    if batch:
        yield count, batch


def _evaluate(job: Job, samples: Sequence[Sample]) -> list[Row]:
    cases = _answered(job, samples)
    usable = [case for case in cases if case.status == OK]
    exchanges = [case.exchange for case in usable]
    delivered = {defence.name: defence.defend(exchanges) if exchanges else [] for defence in job.defences}
    texts = [
        list(dict.fromkeys([e.response, *(d[i].response for d in delivered.values())]))
        for i, e in enumerate(exchanges)
    ]
    harmful, wrong = _judged(job.panel, usable, texts)
    rows = []
    place = 0
    for case in cases:
        if case.status != OK:
            rows.append(_row(case))
            continue
        own = {name: column[place] for name, column in delivered.items()}
        rows.append(_finished(case, own, harmful[place], wrong[place], job.panel))
        place += 1
    return rows


def _answered(job: Job, samples: Sequence[Sample]) -> list[_Case]:
    """Answer what can be answered; everything else gets its status."""
    askable = [s for s in samples if not s.fault and not (job.answers.live and s.missing_images)]
    answers = iter(job.answers.answer(askable))
    asked = {id(s) for s in askable}
    cases = []
    for sample in samples:
        case = _Case(sample, next(answers) if id(sample) in asked else Answer(None))
        if case.answer.label is not None:
            case.sample = replace(sample, response=case.answer.text, label=case.answer.label)
        if sample.fault:
            case.status, case.problem = "unusable", sample.fault
        elif id(sample) not in asked:
            case.status, case.problem = "unusable", f"image missing: {sample.missing_images[0].name}"
        elif case.answer.text is None:
            case.status = "failed" if job.answers.live else "no answer"
            case.problem = case.answer.error or "no answer recorded"
        elif not case.answer.text.strip():
            case.status, case.problem = "empty answer", "the answer is empty"
        else:
            _with_query(case, job)
        cases.append(case)
    return cases


def _with_query(case: _Case, job: Job) -> None:
    try:
        case.query = query_of(case.sample, with_images=job.answers.live or job.with_images)
    except ImageError as error:
        case.status, case.problem = "unusable", str(error)


def _judged(
    panel: Panel, cases: Sequence[_Case], texts: Sequence[Sequence[str | None]]
) -> tuple[list[dict[str, dict[str, Judgement]]], list[dict[str, dict[str, Judgement]]]]:
    """Judge every distinct text once: safety of answers to harmful requests, correctness of utility."""
    harmful: list[dict[str, dict[str, Judgement]]] = [{} for _ in cases]
    wrong: list[dict[str, dict[str, Judgement]]] = [{} for _ in cases]
    for kind, judge, found in ((Kind.HARMFUL, panel.harmful, harmful), (Kind.UTILITY, panel.wrong, wrong)):
        places = [
            (i, text)
            for i, case in enumerate(cases)
            for text in texts[i]
            if case.sample.kind is kind and text is not None
        ]
        for (i, text), said in zip(places, judge([_task(cases[i], t) for i, t in places]), strict=True):
            found[i][text] = said
    return harmful, wrong


def _task(case: _Case, text: str) -> JudgeTask:
    sample = case.sample
    return JudgeTask(
        case.exchange.query, text, criterion(sample.criteria), sample.request, tuple(sample.references)
    )


def _finished(
    case: _Case,
    delivered: dict[str, Delivered],
    harmful: dict[str, dict[str, Judgement]],
    wrong: dict[str, dict[str, Judgement]],
    panel: Panel,
) -> Row:
    original = case.exchange.response
    declined = refusal_of(original).value
    asked = f"{case.sample.prompt} {case.sample.image_text} {case.sample.request}"

    def outcome(text: str | None) -> Outcome:
        verdicts = {name: j.harmful for name, j in harmful.get(text or "", {}).items()} if text else {}
        if panel.labels and case.sample.kind is Kind.HARMFUL:
            verdicts = {LABELS: _by_label(case.sample, text, verdicts, panel)} | verdicts
        grades = {
            name: None if j.score is None else 1.0 - j.score
            for name, j in (wrong.get(text or "", {}) if text else {}).items()
        }
        return Outcome(
            response=None if text == original else text,
            refusal=declined if text == original else refusal_of(text or "").value,
            verdicts=verdicts,
            accuracy=grades,
            unchanged=text == original,
        )

    after = {
        name: replace(
            outcome(d.response),
            seconds=d.seconds,
            action=d.action,
            harm=d.harm,
            calls=d.calls,
            error=d.error,
            relevance=None if d.response in (None, original) else relevance(asked, d.response or ""),
        )
        for name, d in delivered.items()
    }
    before = replace(outcome(original), response=original, seconds=case.answer.seconds)
    return replace(_row(case), before=before, after=after)


def _by_label(
    sample: Sample, text: str | None, verdicts: dict[str, bool | None], panel: Panel
) -> bool | None:
    """What people said of the recorded answer; of any other text they said nothing: the first judge does."""
    if text is not None and text == sample.response and sample.label is not None:
        return sample.label
    return verdicts.get(panel.safety[0].name) if panel.safety else None


def _row(case: _Case) -> Row:
    sample = case.sample
    return Row(
        id=sample.id,
        scenario=sample.scenario,
        modality=sample.modality,
        attack=sample.attack,
        kind=sample.kind.value,
        status=case.status,
        criteria=sample.criteria,
        prompt=sample.prompt,
        request=sample.request,
        problem=case.problem,
        label=sample.label,
    )
