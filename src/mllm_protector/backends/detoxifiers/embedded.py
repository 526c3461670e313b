"""The detoxifier that needs no language model: keeps what is harmless, or answers the request anew."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from mllm_protector.backends.detoxifiers.answers import compose, left_out_note
from mllm_protector.backends.detoxifiers.removal import Limits, Unasked, keep_harmless
from mllm_protector.errors import BackendError
from mllm_protector.interfaces import HarmDetector
from mllm_protector.types import Detection, Exchange, Query, RewriteTask

__all__ = ["EmbeddedDetoxifier"]

_Plan = Generator[list[str], list[Detection], str]


class EmbeddedDetoxifier:
    """Rewrites by removal and by fixed texts; deterministic, checked by the detector at every step.

    Args:
        detector: judges what remains; the same object that guards, so that no second model is loaded.
        limits: bounds on the work per response.
        removal: False answers every response anew, without looking for a harmless part.
    """

    def __init__(self, detector: HarmDetector, *, limits: Limits | None = None, removal: bool = True) -> None:
        self._detector = detector
        self._limits = limits or Limits()
        self._removal = removal

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        """Return one text per task, in order.

        All tasks advance together: each round is one call of the detector, at most seven in all.

        Raises:
            BackendError: the detector returned another number of detections than it was asked for.
        """
        plans = [self._plan(task) for task in tasks]
        results = [""] * len(tasks)
        asked = {number: next(plan) for number, plan in enumerate(plans)}
        while asked:
            batch = {
                (_asker(tasks[number], texts), text): None
                for number, texts in asked.items()
                for text in texts
            }
            found = self._detector.detect([Exchange(query, text) for query, text in batch])
            if len(found) != len(batch):
                raise BackendError(
                    f"the detector returned {len(found)} detections for {len(batch)} exchanges"
                )
            judged = dict(zip(batch, found, strict=True))
            following: dict[int, list[str]] = {}
            for number, texts in asked.items():
                try:
                    answers = [judged[_asker(tasks[number], texts), text] for text in texts]
                    following[number] = plans[number].send(answers)
                except StopIteration as done:
                    results[number] = done.value
            asked = following
        return results

    def _plan(self, task: RewriteTask) -> _Plan:
        """Yield texts to be judged, receive their detections, return the rewrite."""
        if self._removal:
            exchange = task.exchange
            kept = yield from keep_harmless(
                exchange.response, task.standard, task.detection.spans, left_out_note(task), self._limits
            )
            if kept is not None:
                return kept.text
        answers = compose(task)
        judged = yield answers
        passing = (text for text, found in zip(answers, judged, strict=True) if task.standard.met_by(found))
        return next(passing, answers[-1])


def _asker(task: RewriteTask, texts: list[str]) -> Query:
    """The request that texts are judged as answers to."""
    return Query("") if isinstance(texts, Unasked) else task.exchange.query
