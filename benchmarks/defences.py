"""Compares output-side defences on recorded answers of real vision-language models, with no model at all.

    python benchmarks/defences.py --data DIR [--limit N] [--threads N] [--out FOLDER] [--json FILE]

DIR holds ``multimodal/vlm_attacks_dev.jsonl`` (answers to image attacks, read one by one by an LLM
annotator), ``multimodal/msts_dev.jsonl`` (answers to MSTS prompts, labelled by people), and
``detector/{train,dev}.jsonl`` for the judge.

What is measured. Before: the set's own labels. After: a delivered text that is the recorded answer byte for
byte keeps its label; any other text is harmful if an independent judge says so: a logistic regression on
TF-IDF (``_judges.py``) trained on answers to other prompts, which shares no feature, weight or threshold
with the guard's detector, its threshold set so that it calls 5 % of unseen harmless answers harmful. It is
no LLM: it knows words, not meaning, and its false alarms count against the guard.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _judges import Row, TfidfJudge, describe
from mllm_protector.backends.judges.refusal import refusal_of
from mllm_protector.evaluation.evaluate import evaluate
from mllm_protector.evaluation.plan import Plan
from mllm_protector.evaluation.rendering.tables import Table, overview, percent
from mllm_protector.evaluation.report import Report
from mllm_protector.interfaces import Judgement
from mllm_protector.types import Exchange

DEFENCES = ("protector", "refuse-only", "detector-refusal")
SETS = ("vlm_attacks_dev", "msts_dev")


class IndependentJudge:
    """The TF-IDF judge behind the evaluation's socket; ``train`` prepares it once for the process."""

    model: TfidfJudge
    threshold: float

    @classmethod
    def train(cls, folder: Path, rows: int) -> str:
        """Train on ``rows`` rows, set the threshold on others, and say how good it is."""
        cls.model = TfidfJudge(_rows(folder / "detector" / "train.jsonl", rows))
        found = describe(cls.model, _rows(folder / "detector" / "dev.jsonl", rows))
        cls.threshold = found.threshold
        quality = f"AUROC {found.auroc:.3f} on unseen answers, {found.false_alarms:.0%} false alarms"
        return f"judge {found.name}: {quality}"

    def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
        """Return one judgement per exchange."""
        if not exchanges:
            return []
        scores = self.model.score([Row(e.query.prompt, e.response, 0) for e in exchanges])
        return [Judgement(bool(s >= self.threshold), float(s)) for s in scores]


def main() -> None:
    """Run both sets and print their tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="samples per set, drawn with seed 0")
    parser.add_argument("--rows", type=int, default=12_000, help="rows the judge is trained on")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--policy", help="the guard's policy")
    parser.add_argument("--out", type=Path, help="keep reports here")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    print(IndependentJudge.train(options.data, options.rows))
    print(_refusals(options.data / "multimodal" / "vlm_attacks_dev.jsonl"))
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in SETS:
            report = _evaluate(options, name, (options.out or Path(scratch)) / name)
            _print(name, report)
            figures[name] = _figures(report)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _refusals(path: Path) -> str:
    """Say how far the refusal rules agree with the annotator."""
    with path.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    pairs = [(row["refusal"], refusal_of(row["response"]).value) for row in rows]
    agreed, full = sum(a == b for a, b in pairs), [b for a, b in pairs if a == "full"]
    false = sum(b == "full" != a for a, b in pairs)
    found = f"{full.count('full')} of {len(full)} full refusals found, {false} false"
    return f"refusal rules: {agreed} of {len(pairs)} agree with the annotator; {found}"


def _evaluate(options: argparse.Namespace, name: str, out: Path) -> Report:
    plan = Plan(
        benchmark="jsonl",
        data=options.data / "multimodal" / f"{name}.jsonl",
        judges=(f"{__name__}:IndependentJudge",),
        labels=True,
        defences=DEFENCES,
        policy=options.policy,
        limit=options.limit,
        threads=options.threads,
    )
    return evaluate(plan, out, overwrite=True, restart=True)


def _print(name: str, report: Report) -> None:
    print(f"\n## {name}: {report.evaluated} answers\n")
    _table(overview(report))
    rows = [
        (defence.name, group.name, str(group.effect.before), str(group.effect.after))
        for defence in report.defences
        for group in defence.attacks[0].attacks
    ]
    if rows:
        _table(Table("", ("defence", "attack", "before", "after"), tuple(rows)))
    kept = [
        (
            d.name,
            str(d.safe_unchanged),
            percent(d.relevance),
            str(d.rewritten),
            _actions(d.actions),
        )
        for d in report.defences
    ]
    _table(
        Table(
            "",
            ("defence", "safe answers unchanged", "rewrite relevance", "rewritten", "actions"),
            tuple(kept),
        )
    )
    detector = report.defences[0].detector
    if detector is not None:
        print(f"detector: AUROC {detector.auroc:.3f}, F1 {detector.f1:.3f}, ECE {detector.ece:.3f}")


def _actions(actions: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in actions.items())


def _table(table: Table) -> None:
    print("| " + " | ".join(table.head) + " |\n|" + "---|" * len(table.head))
    for row in table.rows:
        print("| " + " | ".join(row) + " |")
    print()


def _figures(report: Report) -> dict[str, Any]:
    return {
        d.name: {
            "before": d.attacks[0].overall.before.value,
            "after": d.attacks[0].overall.after.value,
            "p": d.attacks[0].overall.p,
            "safe unchanged": d.safe_unchanged.value,
            "relevance": d.relevance if d.rewritten else None,
        }
        for d in report.defences
    }


def _rows(path: Path, count: int) -> list[Row]:
    rows = []
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            rows.append(Row(row["prompt"], row["response"], int(row["harmful"])))
            if len(rows) == count:
                break
    return rows


if __name__ == "__main__":
    main()
