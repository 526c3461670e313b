"""What text normalisation gains: the embedded detector on obfuscated responses, with and without it.

    python benchmarks/obfuscation.py --data DIR [--rows 300] [--threads 1] [--seed 0]

DIR holds detector/dev.jsonl (prompt, response, harmful, source) and benign/dev.jsonl. Every trick is
applied to the whole response; recall is at the checkpoint's default threshold. False alarms are
counted on ordinary answers, untouched.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mllm_protector.backends.detectors.embedded import EmbeddedDetector
from mllm_protector.evaluation.attacks.obfuscation import TRICKS, obfuscate
from mllm_protector.evaluation.metrics import auroc
from mllm_protector.types import Exchange, Query

Row = dict[str, str]


def sample(path: Path, rows: int, seed: int, longest: int = 600) -> list[Row]:
    """A reproducible sample of the short responses of a file, half of each label where there are labels."""
    everything = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    short = [row for row in everything if 40 <= len(row["response"]) <= longest and row["response"].isascii()]
    random.Random(seed).shuffle(short)
    harmful = [row for row in short if row.get("harmful")][: rows // 2]
    return harmful + [row for row in short if not row.get("harmful")][: rows - len(harmful)]


def scores(detector: EmbeddedDetector, rows: Iterable[Row], trick: str = "") -> np.ndarray:
    """P(harmful) of each row's response, obfuscated if ``trick`` is given."""
    return np.array(
        detector.score(
            [
                Exchange(
                    Query(row["prompt"]), obfuscate(row["response"], trick, n) if trick else row["response"]
                )
                for n, row in enumerate(rows)
            ]
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--model", type=Path, default=None, help="a checkpoint folder instead of the embedded one"
    )
    parser.add_argument("--tricks", nargs="*", default=list(TRICKS), choices=list(TRICKS), metavar="TRICK")
    chosen = parser.parse_args(arguments)
    with_it, without = (
        EmbeddedDetector(chosen.model, threads=chosen.threads, normalise=on) for on in (True, False)
    )
    limit = with_it.manifest.threshold
    rows = sample(chosen.data / "detector" / "dev.jsonl", chosen.rows, chosen.seed)
    labels = np.array([bool(row["harmful"]) for row in rows])
    print(f"{len(rows)} responses, {labels.sum()} harmful; threshold {limit:.3f}\n")
    print(f"{'':20}{'AUROC':^24}{'recall':^24}{'false alarms':^16}")
    print(f"{'trick':20}" + f"{'without':>8}{'with':>8}{'gain':>8}" * 2 + f"{'without':>8}{'with':>8}")
    totals = []
    for trick in ["", *chosen.tricks]:
        plain, normal = scores(without, rows, trick), scores(with_it, rows, trick)
        figures = [auroc(plain, labels), auroc(normal, labels)]
        figures += [float((s[labels] >= limit).mean()) for s in (plain, normal)]
        figures += [float((s[~labels] >= limit).mean()) for s in (plain, normal)]
        line(trick or "(clean)", figures)
        if trick:
            totals.append(figures)
    line("mean of the tricks", np.mean(totals, axis=0).tolist())
    benign = sample(chosen.data / "benign" / "dev.jsonl", chosen.rows, chosen.seed, longest=2000)
    alarms = [float((scores(d, benign) >= limit).mean()) for d in (without, with_it)]
    print(f"\nfalse alarms on {len(benign)} ordinary answers: without {alarms[0]:.4f}, with {alarms[1]:.4f}")


def line(name: str, figures: Sequence[float]) -> None:
    """Print one row: AUROC and recall without, with, gain; then false alarms."""
    a, b, c, d, e, f = figures
    print(f"{name:20}{a:8.3f}{b:8.3f}{b - a:+8.3f}{c:8.3f}{d:8.3f}{d - c:+8.3f}{e:8.3f}{f:8.3f}", flush=True)


if __name__ == "__main__":
    main()
