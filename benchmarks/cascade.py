"""What a cascade costs and what it gives: the embedded detector first, a stand-in second.

    python benchmarks/cascade.py --data DIR [--limit N] [--cost-ratio X] [--json FILE]

DIR is laid out as described in the model card. Bands are chosen on half of the development prompts and told
on the other half. The second detector is a TF-IDF judge trained on the training files, since no large guard
can be run here: **its F1 says nothing about a real guard**. What is measured is the planning (does a band
hold on prompts it was not chosen on?) and the cascade's own cost. ``--cost-ratio`` is what the second one
would cost, in units of the embedded detector's time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from _judges import Row, TfidfJudge
from mllm_protector.evaluation.cascade import planning_half, trade_off
from mllm_protector.registry import make
from mllm_protector.training.embedded.examples import read_rows
from mllm_protector.types import Detection, Exchange, Query

_NAME = f"{__name__}:StandIn"
_TRAINING_ROWS = 4000  # of the stand-in
_TIMED = 100  # answers that the cascade's own cost is measured on


class StandIn:
    """A judge in the detector's socket; trained once, by ``main``."""

    judge: TfidfJudge | None = None

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return its probabilities."""
        assert StandIn.judge is not None
        rows = [Row(e.query.prompt, e.response, 0) for e in exchanges]
        return [Detection(float(p)) for p in StandIn.judge.score(rows)]


def rows_of(path: Path, limit: int) -> list[Row]:
    """The labelled rows of a file, at most ``limit`` (0: all), drawn evenly."""
    rows = [
        Row(str(r["prompt"]), str(r["response"]), int(r["harmful"])) for r in read_rows(path) if r["response"]
    ]
    step = max(1, len(rows) // limit) if limit else 1
    return rows[::step]


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0, help="most development rows; 0 for all")
    parser.add_argument("--cost-ratio", type=float, default=100.0)
    parser.add_argument("--max-escalation", type=float, default=0.1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    StandIn.judge = TfidfJudge(rows_of(given.data / "detector" / "train.jsonl", _TRAINING_ROWS))
    rows = rows_of(given.data / "detector" / "dev.jsonl", given.limit)
    exchanges = [Exchange(Query(row.prompt), row.response) for row in rows]
    embedded = make("detectors", "embedded", {"threads": 1})
    first = np.array([d.harm for d in embedded.detect(exchanges)])
    second = np.array([d.harm for d in StandIn().detect(exchanges)])
    half = planning_half([row.prompt for row in rows])
    found = trade_off(
        first, second, [row.harmful for row in rows], half, cost_ratio=given.cost_ratio,
        budgets=(0.0, 0.02, 0.05, given.max_escalation, 0.2, 0.5, 1.0),
    )  # fmt: skip
    chosen = next(row for row in found if row.budget == given.max_escalation)
    options: dict[str, Any] = {
        "first": {"name": "embedded", "options": {"threads": 1}}, "second": {"name": _NAME},
        "low": min(chosen.band.low, chosen.band.high), "high": chosen.band.high,
    }  # fmt: skip
    cascade = make("detectors", "cascade", options)
    few = exchanges[:_TIMED]
    seconds = []
    for detector in (embedded, cascade):
        began = time.monotonic()
        joined = np.array([d.harm for d in detector.detect(few)])
        seconds.append(time.monotonic() - began)
    passed = ((first >= options["low"]) & (first <= options["high"]))[:_TIMED]
    assert np.allclose(joined, np.where(passed, second[:_TIMED], first[:_TIMED])), (
        "plan and detector disagree"
    )
    print(f"{len(rows)} answers; cost of the second: {given.cost_ratio:g} x the embedded detector's\n")
    print("budget   band              passed on  cost   F1     AUROC  | held out  cost   F1     AUROC")
    for row in found:
        band = "none" if row.band.low > row.band.high else f"[{row.band.low:.3f}, {row.band.high:.3f}]"
        print(f"{row.budget:<8.1%} {band:<17}", end="")
        for part, gap in ((row.planned, "  "), (row.held_out, "   ")):
            print(f"{gap}{part.escalated:<9.1%}{part.cost:<7.1f}{part.f1:<7.3f}{part.auroc:<6.3f}", end="")
        print()
    alone, both = (1e3 * taken / len(few) for taken in seconds)
    print(f"\nembedded alone {alone:.1f} ms per answer, cascade {both:.1f} ms, on {len(few)} answers")
    if given.json:
        report = {
            "rows": len(rows),
            "cost_ratio": given.cost_ratio,
            "trade_off": [asdict(row) for row in found],
        }
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
