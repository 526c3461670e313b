"""Models that can be trained again in seconds, to see what leaving a part of the data out costs.

TF-IDF of words with logistic regression, the same regression on the frozen features of a sentence
encoder, and (slow) the network of the embedded detector itself, fine-tuned on few rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from mllm_protector.calibration import sigmoid
from mllm_protector.training.embedded.examples import Example
from mllm_protector.types import Exchange

Floats = NDArray[np.float64]
_TOKENS = 96  # of a text that the encoder sees


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled exchange.

    Attributes:
        exchange: the exchange.
        harmful: its label.
        source: the set it is from.
        family: how it attacks.
        hazard: its category code, "" if it has none or nobody said.
    """

    exchange: Exchange
    harmful: bool
    source: str
    family: str
    hazard: str = ""


class Model(Protocol):
    """Trains on some rows and scores others, both given by their places among all rows."""

    name: str

    def scores(self, train: Sequence[int], test: Sequence[int]) -> Floats:
        """P(harmful) of the test rows."""


class TfidfModel:
    """Words and word pairs of request and answer; hashing needs no vocabulary, so nothing leaks by it."""

    name = "TF-IDF"

    def __init__(self, rows: Sequence[Row]) -> None:
        words = HashingVectorizer(ngram_range=(1, 2), n_features=2**18, alternate_sign=False, norm=None)
        texts = [f"{_asked(row)[:500]} ||| {row.exchange.response[:2000]}" for row in rows]
        self._counts: csr_matrix = words.transform(texts).tocsr()
        self._labels = np.array([row.harmful for row in rows])

    def scores(self, train: Sequence[int], test: Sequence[int]) -> Floats:
        """P(harmful) of the test rows."""
        weights = TfidfTransformer(sublinear_tf=True).fit(self._counts[train])
        model = LogisticRegression(C=10.0, class_weight="balanced", solver="liblinear", max_iter=200)
        model.fit(weights.transform(self._counts[train]), self._labels[train])
        return np.asarray(model.predict_proba(weights.transform(self._counts[test]))[:, 1])


class ProbeModel:
    """Logistic regression on the frozen embeddings of request and answer, and on their product."""

    name = "probe"

    def __init__(self, rows: Sequence[Row], base: Path) -> None:
        asked = _embeddings([_asked(row) for row in rows], base)
        answered = _embeddings([row.exchange.response for row in rows], base)
        self._features = np.concatenate([asked, answered, asked * answered], axis=1)
        self._labels = np.array([row.harmful for row in rows])

    def scores(self, train: Sequence[int], test: Sequence[int]) -> Floats:
        """P(harmful) of the test rows."""
        model = LogisticRegression(C=30.0, class_weight="balanced", max_iter=500)
        model.fit(self._features[train], self._labels[train])
        return np.asarray(model.predict_proba(self._features[test])[:, 1])


class FineTunedModel:
    """The embedded detector's network, trained for one epoch on at most ``budget`` rows."""

    name = "fine-tuned"

    def __init__(self, rows: Sequence[Row], base: Path, budget: int, threads: int) -> None:
        self._rows, self._base, self._budget, self._threads = rows, base, budget, threads

    def scores(self, train: Sequence[int], test: Sequence[int]) -> Floats:
        """P(harmful) of the test rows."""
        import torch
        from tokenizers import Tokenizer

        from mllm_protector.training.embedded.detector import logits_of, train_epochs
        from mllm_protector.training.embedded.network import PairClassifier
        from mllm_protector.training.embedded.settings import Settings

        torch.manual_seed(0)
        torch.set_num_threads(self._threads)
        tokenizer = Tokenizer.from_file(str(self._base / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        kept = np.random.default_rng(0).permutation(np.asarray(train))[: self._budget]
        settings = replace(Settings(), epochs=1, train_tokens=128, threads=self._threads)
        with TemporaryDirectory() as folder:
            network = train_epochs(
                settings, PairClassifier.from_base(self._base), tokenizer,
                [[_example(self._rows[i]) for i in kept]], Path(folder),
            )  # fmt: skip
            logits = logits_of(network, tokenizer, [_example(self._rows[i]) for i in test])[:, 0]
        return sigmoid(logits)


def _asked(row: Row) -> str:
    return f"{row.exchange.query.prompt} {row.exchange.query.image_text}".strip()


def _example(row: Row) -> Example:
    query = row.exchange.query
    return Example(query.prompt, row.exchange.response, float(row.harmful), row.source, query.image_text)


def _embeddings(texts: Sequence[str], base: Path) -> NDArray[np.float32]:
    """Unit-length mean embeddings [n, d] of the first tokens of each text; equal texts are embedded once."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    from mllm_protector.training.embedded.network import embed_mean

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.enable_truncation(_TOKENS)
    encoder = AutoModel.from_pretrained(base, add_pooling_layer=False).eval()
    unique = sorted(set(texts), key=len)  # of like length together: little padding
    found: dict[str, NDArray[np.float32]] = {}
    for start in range(0, len(unique), 64):
        batch = unique[start : start + 64]
        tokenizer.enable_padding()
        encoded = tokenizer.encode_batch([text.encode("utf-8", "replace").decode() for text in batch])
        ids, mask = (torch.tensor([getattr(e, key) for e in encoded]) for key in ("ids", "attention_mask"))
        found |= dict(zip(batch, embed_mean(encoder, ids, mask).numpy(), strict=True))
    return np.stack([found[text] for text in texts])
