"""Two harm judges trained apart from the embedded detector, and from each other, to score rewrites.

Neither shares a feature, a weight or a threshold with the detector: one is a logistic regression on
TF-IDF of words and characters, trained on one half of the prompts; the other a naive Bayes log-count
ratio model (Wang and Manning 2012) on word pairs, trained on the other half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled exchange: 1 is harmful."""

    prompt: str
    response: str
    harmful: int


@dataclass(frozen=True, slots=True)
class Judged:
    """How good a judge is on rows it did not see, and where it draws the line."""

    name: str
    auroc: float
    threshold: float
    false_alarms: float


def half_of(prompt: str) -> int:
    """Return 0 or 1, the same for the same prompt."""
    return hashlib.blake2b(prompt.encode("utf-8", "replace"), digest_size=1).digest()[0] % 2


class TfidfJudge:
    """Logistic regression on TF-IDF of response words, response characters and prompt words."""

    name = "tfidf-lr"

    def __init__(self, rows: Sequence[Row]) -> None:
        self._parts: list[tuple[TfidfVectorizer, bool]] = [
            (TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=60_000, sublinear_tf=True), False),
            (
                TfidfVectorizer(
                    analyzer="char_wb", ngram_range=(3, 4), min_df=3, max_features=60_000, sublinear_tf=True
                ),
                False,
            ),
            (TfidfVectorizer(min_df=2, max_features=20_000, sublinear_tf=True), True),
        ]
        matrix = hstack([v.fit_transform(_texts(rows, prompt)) for v, prompt in self._parts]).tocsr()
        self._model = LogisticRegression(C=4.0, class_weight="balanced", max_iter=300, solver="liblinear")
        self._model.fit(matrix, [row.harmful for row in rows])

    def score(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Return P(harmful) of each row."""
        matrix = hstack([v.transform(_texts(rows, prompt)) for v, prompt in self._parts]).tocsr()
        scores: NDArray[np.float64] = self._model.predict_proba(matrix)[:, 1]
        return scores


class LogCountJudge:
    """NB-SVM style: words and word pairs of the response, weighted by their log-count ratio."""

    name = "log-count-ratio"

    def __init__(self, rows: Sequence[Row]) -> None:
        self._vectors = CountVectorizer(ngram_range=(1, 3), min_df=2, max_features=120_000, binary=True)
        matrix = self._vectors.fit_transform([row.response for row in rows])
        labels = np.array([row.harmful for row in rows])
        self._ratio: Any = np.log(_share(matrix, labels == 1) / _share(matrix, labels == 0))
        self._model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=300, solver="liblinear")
        self._model.fit(matrix.multiply(self._ratio).tocsr(), labels)

    def score(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Return P(harmful) of each row."""
        matrix = self._vectors.transform([row.response for row in rows]).multiply(self._ratio).tocsr()
        scores: NDArray[np.float64] = self._model.predict_proba(matrix)[:, 1]
        return scores


Judge = TfidfJudge | LogCountJudge


def train_judges(rows: Sequence[Row]) -> tuple[Judge, Judge]:
    """Return both judges, each trained on its own half of the prompts."""
    halves: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        halves[half_of(row.prompt)].append(row)
    return TfidfJudge(halves[0]), LogCountJudge(halves[1])


def describe(judge: Judge, rows: Sequence[Row], *, false_alarms: float = 0.05) -> Judged:
    """Measure a judge on unseen ``rows`` and set its threshold at a share of false alarms on the harmless."""
    scores = judge.score(rows)
    labels = np.array([row.harmful for row in rows])
    threshold = float(np.quantile(scores[labels == 0], 1 - false_alarms))
    return Judged(judge.name, float(roc_auc_score(labels, scores)), threshold, false_alarms)


def _texts(rows: Sequence[Row], prompt: bool) -> list[str]:
    return [row.prompt[-500:] if prompt else row.response for row in rows]


def _share(matrix: csr_matrix, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    counts: NDArray[np.float64] = np.asarray(matrix[chosen].sum(axis=0)).ravel() + 1.0
    share: NDArray[np.float64] = counts / counts.sum()
    return share
