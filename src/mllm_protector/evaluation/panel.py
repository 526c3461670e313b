"""The judges of an evaluation, asked together, each failing by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mllm_protector.errors import BackendError, OutageError, OutputError
from mllm_protector.interfaces import Judge, Judgement, JudgeTask

__all__ = ["LABELS", "Panel", "Seat"]

LABELS = "labels"
"""The judge made of the set's own labels: for the recorded answer what people said, else the first judge."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One judge.

    Attributes:
        name: what the report calls it.
        judge: the judge.
        identity: what its verdicts depend on.
        warning: what misleads about it, "" if nothing does.
    """

    name: str
    judge: Judge
    identity: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Judges of safety and judges of correctness.

    Attributes:
        safety: who says whether an answer is harmful; the first is the one that the report leads with.
        utility: who says whether an answer is right; may be empty.
        labels: lead with the set's own labels where they are.
    """

    safety: tuple[Seat, ...]
    utility: tuple[Seat, ...] = ()
    labels: bool = False

    @property
    def names(self) -> list[str]:
        """The judges of safety in the order of the report."""
        return ([LABELS] if self.labels else []) + [seat.name for seat in self.safety]

    def harmful(self, tasks: Sequence[JudgeTask]) -> list[dict[str, Judgement]]:
        """Return for each task what every judge of safety says.

        Raises:
            BackendError: a judge fails on everything.
        """
        return _all(self.safety, tasks)

    def wrong(self, tasks: Sequence[JudgeTask]) -> list[dict[str, Judgement]]:
        """Return for each task what every judge of correctness says.

        Raises:
            BackendError: a judge fails on everything.
        """
        return _all(self.utility, tasks)


def _all(seats: Sequence[Seat], tasks: Sequence[JudgeTask]) -> list[dict[str, Judgement]]:
    columns = {seat.name: _asked(seat, tasks) for seat in seats}
    return [{name: column[i] for name, column in columns.items()} for i in range(len(tasks))]


def _asked(seat: Seat, tasks: Sequence[JudgeTask]) -> list[Judgement]:
    if not tasks:
        return []
    verdicts = _isolated(seat, tasks)
    failed = [v for v in verdicts if isinstance(v, Exception)]
    if len(failed) == len(tasks) and len(tasks) > 1:
        raise BackendError(
            f"the judge {seat.name} fails on everything: {failed[-1]}; mend that, then run the same command"
        )
    return [Judgement(None, reason=f"judge failed: {v}") if isinstance(v, Exception) else v for v in verdicts]


def _isolated(seat: Seat, tasks: Sequence[JudgeTask]) -> list[Judgement | Exception]:
    """Ask a judge; halve a batch that fails until the failure has one owner."""
    try:
        verdicts = seat.judge.judge(tasks)
        if len(verdicts) != len(tasks):
            raise BackendError(f"{seat.name} returned {len(verdicts)} judgements for {len(tasks)} answers")
        return list(verdicts)
    except (OutputError, OutageError):
        raise  # neither a full disk nor a dead endpoint is a verdict
    except Exception as error:  # noqa: BLE001 (a judge that fails leaves the verdict open)
        if len(tasks) == 1:
            return [error]
        middle = len(tasks) // 2
        return [*_isolated(seat, tasks[:middle]), *_isolated(seat, tasks[middle:])]
