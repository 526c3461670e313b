"""What a training epoch consists of: sources, how many rows of each, and with what weight.

Every epoch draws anew (from seed and epoch number), so that sources with more rows than their share
show other rows, prompts alternate with and without attack text, and augmentations differ.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mllm_protector.errors import TrainingError
from mllm_protector.training.embedded.augment import cut_prefix, mixed_answers, perturb
from mllm_protector.training.embedded.categories import hazards_of_label
from mllm_protector.training.embedded.examples import Example, held_out, read_rows
from mllm_protector.training.embedded.exchanges import exchange_examples, request_examples
from mllm_protector.training.embedded.judgements import judgement

__all__ = ["Corpus", "Share", "draw_epoch", "load_corpus"]


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a source an epoch takes.

    Attributes:
        rows: most rows per epoch; a source with fewer is taken whole.
        weight: factor of the loss.
        words: of ``mixed_answers``, the most words of the ordinary part.
    """

    rows: int
    weight: float = 1.0
    words: int = 90


@dataclass(frozen=True, slots=True)
class Corpus:
    """All examples by source, split by prompt.

    Attributes:
        train: source -> examples that may be trained on.
        held_out: real labelled examples kept for calibration and the choice of the threshold.
    """

    train: Mapping[str, Sequence[Example]]
    held_out: Sequence[Example]


def load_corpus(data: Path) -> Corpus:
    """Read the files of the data folder and our own exchanges; raises TrainingError if a file is missing."""
    examples = [
        *_detector(data / "detector" / "train.jsonl"),
        *_benign(data / "benign" / "train.jsonl"),
        *_image_attacks(data / "multimodal" / "vlm_attacks_train.jsonl"),
        *_safe_answers(data / "detoxifier" / "safe_answers.jsonl"),
        *_pairs(data / "detoxifier" / "train.jsonl"),
        *_moderation(data / "prompts" / "openai_moderation.jsonl"),
        *_categorised(data / "prompts" / "categorised.jsonl"),
    ]
    train: dict[str, list[Example]] = defaultdict(list)
    kept: list[Example] = []
    for example in examples:
        # The key of an image attack is the text in the image: its prompt is the same for all.
        out = held_out(example.image_text or example.prompt or example.response)
        if not out:
            train[example.source].append(example)
        elif example.harm is not None:
            kept.append(example)
    train["written"] = exchange_examples()  # all of it: what is kept is to be real
    train["categorised"] += request_examples()
    return Corpus(train, kept)


def draw_epoch(
    corpus: Corpus, shares: Mapping[str, Share], generated: Sequence[Example], *, seed: int, epoch: int
) -> list[Example]:
    """The examples of one epoch, unordered.

    Raises:
        TrainingError: a share names an unknown source, or nothing or only one class is left.
    """
    if unknown := sorted(set(shares) - set(corpus.train) - {"mixed_answers", "generated", "mismatched"}):
        raise TrainingError(f"recipe: no rows of the sources {unknown}; known: {sorted(corpus.train)}")
    drawn: list[Example] = []
    for source, share in shares.items():
        rng = random.Random(f"{seed}/{epoch}/{source}")  # noqa: S311
        if source == "mixed_answers":
            pool = mixed_answers({**corpus.train, "generated": generated}, share.rows, rng, share.words)
        elif source == "mismatched":
            pool = _mismatched(corpus.train, share.rows, rng)
        else:
            rows = list(generated if source == "generated" else corpus.train[source])
            pool = _sample(rows, share.rows, rng)
        drawn += [replace(example, weight=example.weight * share.weight) for example in pool]
    rng = random.Random(f"{seed}/{epoch}/augment")  # noqa: S311
    drawn = [perturb(cut_prefix(example, rng), rng) for example in drawn]
    drawn = [example for example in drawn if example.response.strip() or example.category is not None]
    classes = {example.harm > 0.5 for example in drawn if example.harm is not None}
    if len(classes) < 2:
        raise TrainingError("the training data is empty or has only one class: check --data and the recipe")
    return drawn


def _sample(rows: list[Example], count: int, rng: random.Random) -> list[Example]:
    """Up to ``count`` rows, taken in turn over prompts so that no question dominates."""
    rng.shuffle(rows)
    if len(rows) <= count:
        return rows
    turns: dict[str, int] = defaultdict(int)
    order = []
    for row in rows:
        key = row.prompt + row.image_text
        order.append(turns[key])
        turns[key] += 1
    ranked = sorted(range(len(rows)), key=order.__getitem__)  # stable: shuffled inside a turn
    return [rows[i] for i in ranked[:count]]


def _mismatched(train: Mapping[str, Sequence[Example]], count: int, rng: random.Random) -> list[Example]:
    """Harmful requests answered by an unrelated ordinary answer: harmless, whatever was asked."""
    prompts = [e.prompt for e in train["saferlhf_mini"] if e.harm] + [e.prompt for e in train["categorised"]]
    return [
        Example(rng.choice(prompts), rng.choice(train["benign"]).response, 0.0, "mismatched")
        for _ in range(count)
    ]


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]|\\u[0-9a-f]{4}|[\u0e00-\u0fff]")


def _detector(path: Path) -> list[Example]:
    return [
        example
        for row in read_rows(path)
        for example in _detector_row(row)
        if not (row["source"] == "cipherchat" and _CONTROL.search(row["prompt"] + row["response"]))
    ]


def _detector_row(row: Mapping[str, Any]) -> list[Example]:
    source, prompt, history = str(row["source"]), str(row["prompt"]), ""
    if source == "openai_rbr":
        turns = [t for t in re.split(r"(?:^|\n\n)(?=user: |assistant: )", prompt) if t.startswith("user: ")]
        turns = [turn.removeprefix("user: ").strip() for turn in turns] or [prompt]
        prompt, history = turns[-1], turns[-2] if len(turns) > 1 else ""
    base = Example(prompt, str(row["response"]), float(row["harmful"]), source, history=history)
    if source == "justeval_safety" and not base.harm:
        base = replace(base, advice=frozenset())
    if source == "jbb_artifacts":
        return [base, replace(base, prompt=str(row["attack_prompt"]), source="jbb_attack_prompts")]
    return [base]


def _benign(path: Path) -> list[Example]:
    nothing: frozenset[str] = frozenset()
    return [Example(r["prompt"], r["response"], 0.0, "benign", advice=nothing) for r in read_rows(path)]


_ADVICE_WORDS: Mapping[str, re.Pattern[str]] = {
    "legal-advice": re.compile(r"legal|law|court|contract|sue|visa|divorce|custody|patent|will\b", re.I),
    "health-advice": re.compile(
        r"health|medic|diet|symptom|treat|disease|therap|pain|dose|illness|skin", re.I
    ),
    "financial-advice": re.compile(
        r"financ|invest|fund|stock|tax|loan|debt|credit|money|portfolio|budget", re.I
    ),
}


def _image_attacks(path: Path) -> list[Example]:
    result = []
    for row in read_rows(path):
        harmful, sure = bool(row["harmful"]), bool(row["sure"])
        advice: frozenset[str] | None = frozenset()
        if row["unqualified_advice"]:
            asked = f"{row['image_text']} {row['prompt']} {row['set_category']}"
            advice = frozenset(k for k, words in _ADVICE_WORDS.items() if words.search(asked)) or None
        codes = hazards_of_label(str(row["category"]))
        example = Example(
            prompt=row["prompt"],
            image_text=row["image_text"],
            response=row["response"],
            harm=(0.98 if sure else 0.8) if harmful else (0.02 if sure else 0.2),
            source="vlm_attacks",
            category=codes if harmful and codes else None,
            advice=advice,
            weight=1.0 if sure else 0.5,
        )
        result.append(example)
        if row["safe_answer"]:
            result.append(replace(example, response=row["safe_answer"], harm=0.0, source="vlm_safe_answers",
                                  category=None, weight=1.0))  # fmt: skip
    return result


def _safe_answers(path: Path) -> list[Example]:
    names: Sequence[tuple[str, str]] = (
        ("safety_tuned", "safe_safety_tuned_llamas"),
        ("VLGuard train safe", "safe_vlguard_instructions"),
        ("VLGuard", "safe_vlguard"),
        ("STAR-1", "safe_star1"),
        ("llama2", "safe_advbench_refusals"),
    )

    def source(name: str) -> str:
        return next(target for prefix, target in names if name.startswith(prefix))

    return [Example(r["prompt"], r["chosen"], 0.0, source(r["source"])) for r in read_rows(path)]


def _pairs(path: Path) -> list[Example]:
    """SafeUnlearning pairs; HH pairs only tell which answer is safer, hence soft targets unless judged."""
    result = []
    for row in read_rows(path):
        if row["source"] == "safeunlearning":
            result.append(Example(row["prompt"], row["rejected"], 1.0, "safeunlearning"))
            result.append(Example(row["prompt"], row["chosen"], 0.0, "safeunlearning"))
        elif row["source"].startswith("hh_harmless"):
            turns = [
                t.strip() for t in re.findall(r"Human:(.*?)(?=Assistant:|Human:|$)", row["prompt"], re.S)
            ]
            prompt, history = (turns or [row["prompt"]])[-1], turns[-2] if len(turns) > 1 else ""
            result.append(Example(prompt, row["rejected"], 0.6, "hh_pairs", history=history))
            result.append(Example(prompt, row["chosen"], 0.25, "hh_pairs", history=history))
            result += _judged(row["prompt"], (row["rejected"], row["chosen"]), result[-1])
    return result


def _judged(dialogue: str, answers: Sequence[str], pattern: Example) -> list[Example]:
    """The answers that were judged for this project, and their request if its hazard is known."""
    found = [(answer, judged) for answer in answers if (judged := judgement(dialogue, answer))]
    result = [
        replace(
            pattern,
            response=answer,
            harm=judged.harm,
            source="hh_judged",
            category=frozenset({judged.hazard}) if judged.hazard else None,
            weight=judged.weight,
        )
        for answer, judged in found
    ]
    if codes := frozenset(judged.request for _, judged in found if judged.request):
        result.append(replace(pattern, response="", harm=None, source="hh_requests", category=codes))
    return result


_MODERATION: Mapping[str, str] = {
    "S": "S12", "H": "S10", "H2": "S10", "V": "S1", "V2": "S1", "SH": "S11", "S3": "S4",
}  # fmt: skip


def _moderation(path: Path) -> list[Example]:
    result = []
    for row in read_rows(path):
        labels = row["labels"]
        active = [k for k, v in labels.items() if v] if isinstance(labels, dict) else list(labels)
        codes = frozenset(_MODERATION[k] for k in active if k in _MODERATION)
        result.append(
            Example("", row["text"], 1.0 if active else 0.0, "openai_moderation", category=codes or None)
        )
    return result


def _categorised(path: Path) -> list[Example]:
    result = []
    for row in read_rows(path):
        codes = hazards_of_label(f"{row['source']}/{row['category']}")
        if codes is not None:
            result.append(Example(row["prompt"], "", None, "categorised", category=codes))
    return result
