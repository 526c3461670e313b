"""Asking a guard by raw prompts: its answer is put into its mouth up to the verdict, one token is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mllm_protector.backends.detectors.guards.guard import Dialogue, Guard, Question
from mllm_protector.backends.detectors.guards.verdict import NextToken, harm_of, spread
from mllm_protector.errors import BackendError
from mllm_protector.types import Detection, Image

__all__ = ["Completer", "ForcedReader"]

_FLOOR = 0.1  # harm from which categories are asked for: below it nothing acts on them
_OPEN = 0.05  # probability of a beginning that is worth a further question

Input = tuple[str, tuple[Image, ...]]


class Completer(Protocol):
    """Something that continues a text."""

    def next(self, inputs: Sequence[Input], /) -> list[NextToken]:
        """Return what may come next after each text, in order."""

    def write(self, inputs: Sequence[Input], /) -> list[str]:
        """Return what the model writes after each text until the guard's lead, in order."""

    def close(self) -> None:
        """Let go of connections."""


class ForcedReader:
    """Reads verdicts and labels off the next token.

    Args:
        guard: the family.
        completer: continues texts.
        layout: the input for a question about a dialogue.
        categories: ask for labels too.
    """

    def __init__(
        self,
        guard: Guard,
        completer: Completer,
        layout: Callable[[Question, Dialogue], str],
        *,
        categories: bool,
    ) -> None:
        self._guard, self._completer, self._layout = guard, completer, layout
        self._labels = guard.labels if categories else None

    def read(self, question: Question, dialogues: Sequence[Dialogue]) -> list[Detection]:
        """Return one detection per dialogue, in order.

        Raises:
            BackendError: the model failed, or what it would say is no verdict.
        """
        guard = self._guard
        inputs = [(self._layout(question, d), d.images if guard.sees else ()) for d in dialogues]
        if guard.writes:
            written = self._completer.write(inputs)
            inputs = [
                (f"{text}{own}\n" if own else text, images)
                for (text, images), own in zip(inputs, written, strict=True)
            ]
        # A template of the model's own may have written an empty line already.
        inputs = [(t if _blank_end(t, guard.lead) else t + guard.lead, images) for t, images in inputs]
        harms = [self._harm(found) for found in self._completer.next(inputs)]
        categories: list[dict[str, float]] = [dict.fromkeys(question.codes, harm) for harm in harms]
        due = [n for n, harm in enumerate(harms) if harm >= _FLOOR]
        if self._labels is not None and due:
            for n, shares in zip(due, self._shares([inputs[n] for n in due]), strict=True):
                for label, share in shares.items():
                    for code in self._labels.codes[label]:
                        categories[n][code] = min(harms[n], categories[n].get(code, 0.0) + harms[n] * share)
        return [Detection(harm, found) for harm, found in zip(harms, categories, strict=True)]

    def close(self) -> None:
        """Let go of connections."""
        self._completer.close()

    def _harm(self, found: NextToken) -> float:
        harm = harm_of(found, self._guard.verdict)
        if harm is None:
            words = " or ".join(repr(word) for word in self._guard.verdict.words)
            raise BackendError(
                f"{self._guard.name}: the model would say neither {words}; is it a model of this family?"
            )
        return harm

    def _shares(self, inputs: Sequence[Input]) -> list[dict[str, float]]:
        """P(first label | unsafe) of each input; a label of several tokens is followed piece by piece."""
        assert self._labels is not None
        names = {label.lower(): label for label in self._labels.codes}
        found = [dict.fromkeys(self._labels.codes, 0.0) for _ in inputs]
        due = [(n, "", 1.0) for n in range(len(inputs))]
        while due:
            texts = [(inputs[n][0] + self._labels.before + begun, inputs[n][1]) for n, begun, _ in due]
            following = []
            for (n, begun, mass), ahead in zip(due, self._completer.next(texts), strict=True):
                for longer, share in spread(ahead, begun, list(names)).items():
                    meant = [name for name in names if name.startswith(longer)]
                    if longer != begun and len(meant) > 1 and mass * share >= _OPEN:
                        following.append((n, longer, mass * share))
                        continue
                    chosen = [longer] if longer in names else meant
                    for name in chosen:
                        found[n][names[name]] += mass * share / len(chosen)
            due = following
        return found


def _blank_end(text: str, lead: str) -> bool:
    return bool(lead) and not lead.strip() and text.endswith(lead)
