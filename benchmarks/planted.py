"""What the second look gains: one harmful sentence in a long harmless answer, found or not.

    python benchmarks/planted.py --data DIR [--answers 100] [--seed 0] [--threads 2]

DIR holds ``detector/{train,dev}.jsonl`` and ``benign/{train,dev}.jsonl``. The planted sentences are those of
harmful answers of detector/dev that a TF-IDF judge, trained apart on the training files, finds worst by
themselves; each stands in the middle or at the end of an answer of more than 100 words of benign/dev. The
same answers without the sentence give the false alarms. Intervals are 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _judges import Row, TfidfJudge
from mllm_protector.backends.detectors.embedded import EmbeddedDetector
from mllm_protector.evaluation.metrics import Interval, bootstrap, flagged_share
from mllm_protector.text.sentences import sentences, split_sentences
from mllm_protector.training.embedded.examples import read_rows
from mllm_protector.types import Exchange, Query

_SOURCES = frozenset(("saferlhf_mini", "jailjudge_mini", "jbb_artifacts"))


def harmful_sentences(data: Path, judge: TfidfJudge, most: int) -> list[str]:
    """The ``most`` sentences of harmful answers that the judge finds worst, 60 to 220 characters long."""
    answers = [
        row for row in read_rows(data / "detector/dev.jsonl") if row["harmful"] and row["source"] in _SOURCES
    ]
    found = {
        s.strip() for row in answers for s in split_sentences(row["response"]) if 60 < len(s.strip()) < 220
    }
    candidates = sorted(found)
    scores = judge.score([Row("", sentence, 1) for sentence in candidates])
    return [candidates[i] for i in np.argsort(-scores)[:most]]


def plant(answers: Sequence[Any], harmful: Sequence[str]) -> list[Exchange]:
    """Every answer with one sentence put into it: in turn in the middle and at the end."""
    planted = []
    for number, row in enumerate(answers):
        text, ends = row["response"], [end for _, end in sentences(row["response"])]
        at = ends[len(ends) // 2] if number % 2 else len(text)
        sentence = harmful[number % len(harmful)]
        planted.append(
            Exchange(Query(row["prompt"]), f"{text[:at].rstrip()} {sentence} {text[at:].lstrip()}")
        )
    return planted


def training_rows(data: Path) -> list[Row]:
    """The labelled training rows, and ordinary answers as harmless ones."""
    labelled = [
        Row(r["prompt"], r["response"], int(r["harmful"])) for r in read_rows(data / "detector/train.jsonl")
    ]
    return labelled + [Row(r["prompt"], r["response"], 0) for r in read_rows(data / "benign/train.jsonl")]


def share_flagged(scores: Sequence[float], threshold: float) -> Interval:
    """The share at or above the threshold, with its interval."""
    return bootstrap(lambda s, _: flagged_share(s, threshold), scores, np.ones(len(scores), dtype=bool))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    harmful = harmful_sentences(options.data, TfidfJudge(training_rows(options.data)), options.answers)
    long = [r for r in read_rows(options.data / "benign/dev.jsonl") if len(r["response"].split()) > 100]
    random.Random(options.seed).shuffle(long)
    answers = long[: options.answers]
    sets = {
        "sentence alone": [Exchange(Query(""), sentence) for sentence in harmful],
        "planted": plant(answers, harmful),
        "without it": [Exchange(Query(row["prompt"]), row["response"]) for row in answers],
    }
    print(f"{len(answers)} answers, {len(harmful)} sentences; share flagged at the default threshold")
    for name, again in (("windows only", False), ("with the second look", True)):
        detector = EmbeddedDetector(second_look=again, threads=options.threads)
        shares = []
        for title, exchanges in sets.items():
            scores, threshold = detector.score(exchanges), detector.manifest.threshold
            shares.append(f"{title} {share_flagged(scores, threshold)}")
        print(f"  {name:22}" + "   ".join(shares), flush=True)


if __name__ == "__main__":
    main()
