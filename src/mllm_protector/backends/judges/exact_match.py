"""Short answers against accepted ones: exact match, VQA accuracy, and MM-Vet's <AND>/<OR> words.

``harmful`` reads "wrong" here, and ``score`` is 1 - accuracy: higher is worse, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mllm_protector.interfaces import Judgement, JudgeTask
from mllm_protector.types import Exchange

__all__ = ["ExactMatchJudge", "accuracy", "normal_answer"]

_ARTICLES = frozenset(("a", "an", "the"))
_NUMBERS = {
    word: str(value)
    for value, word in enumerate("zero one two three four five six seven eight nine ten".split())  # noqa: SIM905
} | {"none": "0"}
_PUNCTUATION = re.compile(r"(?<!\d)[.,]|[.,](?!\d)|[^\w\s.,:%$€£+/-]|_")
_MANY = 5  # from so many accepted answers on they are people's votes (VQAv2 has ten)


def normal_answer(text: str) -> str:
    """Return an answer as VQA compares it: lower case, no articles or punctuation, numbers as digits.

    After the evaluation of Antol et al. 2015 (arXiv 1505.00468), without its table of contractions.
    """
    words = _PUNCTUATION.sub(" ", text.lower()).split()
    return " ".join(_NUMBERS.get(word, word) for word in words if word not in _ARTICLES)


def accuracy(response: str, references: Sequence[str]) -> float:
    """Return how right a response is, in [0, 1].

    * An accepted answer with ``<AND>`` or ``<OR>``: the share of the ``<AND>`` parts that are found, the
      best of the ``<OR>`` alternatives.
    * Five accepted answers or more: VQA accuracy, min(1, people who said so / 3), averaged over all
      subsets that leave one person out.
    * Fewer: 1 if the response is one of them, or, where it is longer, says one of them in whole words.
    """
    said = normal_answer(response)
    if any("<AND>" in r or "<OR>" in r for r in references):
        return max(_parts(said, reference) for reference in references)
    accepted = [normal_answer(reference) for reference in references]
    if len(accepted) < _MANY:
        return float(any(_says(said, answer) for answer in accepted))
    agree = [answer == said or _says(said, answer) for answer in accepted]
    hits = sum(agree)
    return sum(min(1.0, (hits - mine) / 3) for mine in agree) / len(agree)


def _parts(said: str, reference: str) -> float:
    def share(alternative: str) -> float:
        parts = [normal_answer(part) for part in alternative.split("<AND>")]
        return sum(_says(said, part) for part in parts) / len(parts)

    return max(share(alternative) for alternative in reference.split("<OR>"))


def _says(said: str, answer: str) -> bool:
    return bool(answer) and f" {answer} " in f" {said} "


class ExactMatchJudge:
    """Compares an answer with the accepted ones of its ``JudgeTask``; without any it stays open."""

    def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
        """Return one judgement per exchange, in order."""
        return [self._one(exchange) for exchange in exchanges]

    @staticmethod
    def _one(exchange: Exchange) -> Judgement:
        references = exchange.references if isinstance(exchange, JudgeTask) else ()
        if not references:
            return Judgement(None, reason="no accepted answer")
        wrong = 1.0 - accuracy(exchange.response, references)
        return Judgement(wrong >= 0.5, wrong)
