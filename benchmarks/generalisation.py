"""Unseen attacks: what a detector loses on sources, hazards and attack families that it never saw.

    python benchmarks/generalisation.py --data DIR [--base DIR] [--only held-out obfuscation words]

DIR is laid out as described in the model card. Prints Markdown: AUROC and F1 (at 0.5) with 95 % bootstrap
intervals. The shipped detector has seen every source, so leaving out is measured on models that train in
seconds; --base (a folder of a sentence encoder) adds a probe on its frozen features, --fine-tune ROWS the
detector's own network, trained anew for every line. Obfuscations and word edits are measured on the shipped
detector without and with its measures.
"""

from __future__ import annotations

import argparse
import random
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from _retrainable import FineTunedModel, Floats, Model, ProbeModel, Row, TfidfModel
from mllm_protector.backends.detectors.embedded import EmbeddedDetector
from mllm_protector.evaluation.attacks.obfuscation import TRICKS, obfuscate
from mllm_protector.evaluation.attacks.word_edits import EditBudget, Edited, edit_words
from mllm_protector.evaluation.attacks.wrapping import WRAPPINGS, split_turns, wrap
from mllm_protector.evaluation.metrics import Interval, auroc, bootstrap, f1
from mllm_protector.evaluation.statistics import rate
from mllm_protector.training.embedded.categories import hazards_of_label
from mllm_protector.training.embedded.examples import read_rows
from mllm_protector.types import Exchange, Query

FAMILIES: Mapping[str, str] = {
    "saferlhf_mini": "plain requests",
    "justeval_safety": "plain requests",
    "gptfuzz": "jailbreak templates",
    "gptfuzz_new_questions": "jailbreak templates",
    "jbb_artifacts": "optimised attack prompts",
    "jailjudge_mini": "mixed jailbreaks, role play",
    "cipherchat": "ciphers",
    "latent_jailbreak": "hidden instructions",
    "openai_rbr": "long dialogues",
    "diasafety": "chit-chat",
    "figstep": "typographic images",
    "beavertails-v": "harmful pictures",
    "benign": "ordinary",
}
"""Source (or the attack of a source's rows) -> attack family."""

_RESAMPLES = 300
_NEW = "gptfuzz_new_questions"
_TRAIN = {
    "detector/train.jsonl": "",
    "benign/train.jsonl": "benign",
    "multimodal/vlm_attacks_train.jsonl": "vlm",
}
_DEV = {
    "detector/dev.jsonl": "",
    "detector/dev_gptfuzz_new_questions.jsonl": _NEW,
    "benign/dev.jsonl": "benign",
    "multimodal/vlm_attacks_dev.jsonl": "vlm",
}


def load(data: Path, per_source: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Training and development rows, at most ``per_source`` of a source, half of each label if it can be."""
    train = [row for file, name in _TRAIN.items() for row in _rows(data / file, name)]
    dev = [row for file, name in _DEV.items() for row in _rows(data / file, name)]
    return _sample(train, per_source, seed), _sample(dev, per_source, seed)


def _rows(path: Path, name: str) -> list[Row]:
    rows = []
    for r in read_rows(path):
        source = str(r["attack"]) if name == "vlm" else name or str(r["source"])
        query = Query(str(r["prompt"]), image_text=str(r.get("image_text") or ""))
        harmful = bool(r.get("harmful", 0))
        codes = hazards_of_label(str(r.get("category", ""))) if harmful else None
        rows.append(
            Row(
                Exchange(query, str(r["response"])),
                harmful,
                source,
                FAMILIES[source],
                min(codes) if codes else "",
            )
        )
    return rows


def _sample(rows: Sequence[Row], most: int, seed: int) -> list[Row]:
    by_source: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        by_source[row.source, row.harmful].append(row)
    kept = []
    for (source, harmful), found in by_source.items():
        other = len(by_source.get((source, not harmful), ()))
        random.Random(zlib.crc32(f"{seed}/{source}/{harmful}".encode())).shuffle(found)
        kept += found[: max(most // 2, most - other)]
    return kept


def guess_hazards(data: Path, train: Sequence[Row], dev: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Give harmful rows without a hazard the one that their request most resembles, where that is clear."""
    labelled = [(str(r["prompt"]), hazards_of_label(f"{r['source']}/{r['category']}"))
                for r in read_rows(data / "prompts" / "categorised.jsonl")]  # fmt: skip
    known = [(prompt, min(codes)) for prompt, codes in labelled if codes]
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    model = LogisticRegression(C=20.0, max_iter=500, class_weight="balanced")
    model.fit(words.fit_transform([prompt for prompt, _ in known]), [code for _, code in known])

    def filled(rows: Sequence[Row]) -> list[Row]:
        sure = model.predict_proba(words.transform([row.exchange.query.prompt for row in rows]))
        return [
            replace(row, hazard=str(model.classes_[p.argmax()]))
            if row.harmful and not row.hazard and row.family != "chit-chat" and p.max() >= 0.4
            else row
            for row, p in zip(rows, sure, strict=True)
        ]

    return filled(train), filled(dev)


def held_out(
    title: str, models: Sequence[Model], rows: Sequence[Row], split: int, parts: Mapping[str, Any]
) -> None:
    """Print one table: per part, every model trained with and without it.

    Args:
        rows: training rows, then from ``split`` on development rows.
        parts: name -> (which training rows are left out, which development rows are scored).
    """
    print(f"\n### {title}\n")
    heads = [
        f"{m.name} {what} {how}" for m in models for what in ("AUROC", "F1") for how in ("with", "without")
    ]
    print(f"| left out | rows | harmful | {' | '.join(heads)} |\n|{'---|' * (3 + len(heads))}")
    everything = list(range(split))
    labels = np.array([row.harmful for row in rows])
    with_it = {model.name: model.scores(everything, range(split, len(rows))) for model in models}
    for name, (leaves, scored) in parts.items():
        test = [i for i in range(split, len(rows)) if scored(rows[i])]
        y = labels[test]
        if min(y.sum(), (~y).sum()) < 5:
            continue
        kept = [i for i in everything if not leaves(rows[i])]
        cells = []
        for model in models:
            seen, unseen = with_it[model.name][[i - split for i in test]], model.scores(kept, test)
            pairs = [_figures(seen, y), _figures(unseen, y)]
            cells += [*(str(area) for area, _ in pairs), *(str(both) for _, both in pairs)]
        print(f"| {name} | {len(test)} | {y.sum()} | {' | '.join(cells)} |", flush=True)


def _figures(scores: Floats, labels: np.ndarray) -> tuple[Interval, Interval]:
    return (
        bootstrap(auroc, scores, labels, resamples=_RESAMPLES),
        bootstrap(f1, scores, labels, resamples=_RESAMPLES),
    )


def leave_out(options: argparse.Namespace) -> None:
    """Sources, hazards and families left out, one table each."""
    train, dev = guess_hazards(options.data, *load(options.data, options.per_source, options.seed))
    rows, split = [*train, *dev], len(train)
    models: list[Model] = [TfidfModel(rows)]
    if options.base is not None:
        models.append(ProbeModel(rows, options.base))
    if options.fine_tune:
        models.append(FineTunedModel(rows, options.base, options.fine_tune, options.threads))
    print(f"\n{split} training rows, {len(dev)} development rows, at most {options.per_source} of a source.")
    wanted = options.parts or None

    def chosen(names: Sequence[str]) -> list[str]:
        return [name for name in dict.fromkeys(names) if wanted is None or name in wanted]

    def same(source: str) -> str:
        return "gptfuzz" if source == _NEW else source

    sources = {
        name: (lambda r, n=name: same(r.source) == same(n), lambda r, n=name: r.source == n)
        for name in chosen([row.source for row in dev if row.family != "ordinary"])
    }
    hazards = {
        name: (lambda r, n=name: r.hazard == n, lambda r, n=name: r.hazard == n or not r.harmful)
        for name in chosen(sorted({row.hazard for row in dev if row.hazard}, key=lambda c: int(c[1:])))
    }
    families = {
        name: (lambda r, n=name: r.family == n, lambda r, n=name: r.family == n)
        for name in chosen([row.family for row in dev if row.family != "ordinary"])
    }
    for title, parts in (
        ("One source left out", sources), ("One hazard left out (harmless rows of all)", hazards),
        ("One attack family left out", families),
    ):  # fmt: skip
        if parts:
            held_out(title, models, rows, split, parts)


def short_rows(data: Path, count: int, seed: int) -> list[Row]:
    """English answers of 40 to 600 characters, half of them harmful."""
    _, dev = load(data, 10**6, seed)
    fit = [r for r in dev if 40 <= len(r.exchange.response) <= 600 and r.exchange.response.isascii()]
    fit = [r for r in fit if r.family not in ("chit-chat", "hidden instructions")]
    random.Random(seed).shuffle(fit)
    harmful = [r for r in fit if r.harmful][: count // 2]
    return harmful + [r for r in fit if not r.harmful][: count - len(harmful)]


def measures(threads: int) -> dict[str, EmbeddedDetector]:
    """The shipped detector without its measures, and with one after the other."""
    return {
        "neither": EmbeddedDetector(threads=threads, normalise=False, second_look=False),
        "normalised": EmbeddedDetector(threads=threads, second_look=False),
        "and second look": EmbeddedDetector(threads=threads),
    }


def obfuscations(options: argparse.Namespace) -> None:
    """Every trick and wrapping on the same answers, before and after each measure."""
    rows = short_rows(options.data, options.rows, options.seed)
    labels = np.array([row.harmful for row in rows])
    detectors = measures(options.threads)
    print(f"\n### Obfuscated answers ({len(rows)}, {labels.sum()} of them harmful)\n")
    heads = [f"{what}, {name}" for what in ("AUROC", "F1") for name in detectors]
    print(f"| attack | {' | '.join(heads)} |\n|{'---|' * (1 + len(heads))}")
    attacks: dict[str, Callable[[Exchange, int], list[Exchange]]] = {"(none)": lambda e, _: [e]}
    attacks |= {t: lambda e, n, t=t: [Exchange(e.query, obfuscate(e.response, t, n))] for t in TRICKS}
    attacks |= {w: lambda e, n, w=w: [Exchange(e.query, wrap(e.response, w, n))] for w in WRAPPINGS}
    attacks["split over turns"] = lambda e, _: split_turns(e)
    for name, attack in attacks.items():
        found = []
        for detector in detectors.values():
            scores = [max(detector.score(attack(row.exchange, n))) for n, row in enumerate(rows)]
            found.append(_figures(np.array(scores), labels))
        cells = [*(str(a) for a, _ in found), *(str(f) for _, f in found)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def word_attack(options: argparse.Namespace) -> None:
    """Word edits against the detector without and with its measures."""
    rows = short_rows(options.data, 6 * options.attacked, options.seed)
    harmless = [row.exchange for row in rows if not row.harmful]
    budget = EditBudget(options.queries, options.share)
    print(
        f"\n### Adversarial word edits, at most {budget.queries} queries and {budget.share:.0%} of words\n\n"
        "| measures | attacked | still found | queries | words changed | AUROC before | AUROC after "
        f"| F1 before | F1 after |\n|{'---|' * 9}"
    )
    for name, detector in measures(options.threads).items():
        flagged = [r.exchange for r in rows if r.harmful and detector.score([r.exchange])[0] >= 0.5]
        flagged = flagged[: options.attacked]
        edited = [_edit(detector, exchange, budget, n) for n, exchange in enumerate(flagged)]
        calm = detector.score(harmless)
        labels = np.array([True] * len(edited) + [False] * len(calm))
        before = _figures(np.array([e.before for e in edited] + calm), labels)
        after = _figures(np.array([e.after for e in edited] + calm), labels)
        kept = rate(sum(e.after >= 0.5 for e in edited), len(edited))
        queries = np.mean([e.queries for e in edited])
        changed = np.mean([e.changed / e.words for e in edited])
        print(
            f"| {name} | {len(edited)} | {kept} | {queries:.0f} | {changed:.1%} | {before[0]} | {after[0]} "
            f"| {before[1]} | {after[1]} |", flush=True,
        )  # fmt: skip


def _edit(detector: EmbeddedDetector, exchange: Exchange, budget: EditBudget, seed: int) -> Edited:
    def score(texts: Sequence[str]) -> list[float]:
        return detector.score([Exchange(exchange.query, text) for text in texts])

    return edit_words(score, exchange.response, budget, seed=seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that were asked for and print Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {"held-out": leave_out, "obfuscation": obfuscations, "words": word_attack}
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path, help="folder of a BERT encoder, for the probe")
    parser.add_argument("--only", nargs="*", choices=list(parts), default=list(parts))
    parser.add_argument("--parts", nargs="*", help="leave out these alone")
    parser.add_argument("--per-source", type=int, default=400, help="most rows of a source")
    parser.add_argument("--fine-tune", type=int, default=0, metavar="ROWS", help="needs --base")
    parser.add_argument("--rows", type=int, default=60, help="answers to obfuscate")
    parser.add_argument("--attacked", type=int, default=15, help="answers to edit")
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--share", type=float, default=0.15, help="of words edited")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.fine_tune and options.base is None:
        parser.error("--fine-tune needs --base, the encoder to start from")
    for name in options.only:
        parts[name](options)


if __name__ == "__main__":
    main()
