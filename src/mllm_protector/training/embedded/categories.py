"""Hazard categories of training data: labels of public sets mapped to S1 to S14, and pseudo-labels."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from mllm_protector.taxonomy import HAZARDS

__all__ = ["CODES", "category_dev", "hazards_of_label", "pseudo_labels"]

CODES: tuple[str, ...] = tuple(category.code for category in HAZARDS)

_BEAVERTAILS: Mapping[str, str] = {
    "animal_abuse": "S1", "child_abuse": "S4", "discrimination": "S10", "drug_abuse": "S2",
    "financial_crime": "S2", "hate_speech": "S10", "non_violent_unethical_behavior": "", "misinformation": "",
    "controversial_topics": "", "privacy_violation": "S7", "self_harm": "S11", "sexually_explicit": "S12",
    "terrorism": "S1", "violence": "S1",
}  # fmt: skip
_CATQA: Mapping[str, str] = {
    "Adult Content": "S12", "Child Abuse/Content Sexual exploitation": "S4",
    "Child Abuse/Online predation": "S4",
    "Child Abuse": "S1", "Economic Harm/Intellectual property theft": "S8", "Economic Harm": "S2",
    "Fraud/Deception": "S2", "Hate/Harass/Violence/Terrorism": "S1", "Hate/Harass/Violence/Gender": "S1",
    "Hate/Harass/Violence/Cyber": "", "Hate/Harass/Violence": "S10", "Illegal Activity/Human": "S3",
    "Illegal Activity": "S2", "Malware": "S14", "Physical Harm/Self-harm": "S11",
    "Physical Harm/Assault": "S1",
    "Physical Harm/Weapon": "S9", "Physical Harm/Hazardous": "S9", "Physical Harm": "",
    "Political Campaigning/Election": "S13", "Political Campaigning/Political misinformation": "S13",
    "Political Campaigning": "", "Privacy": "S7", "Tailored Financial": "S6",
}  # fmt: skip
_STRONGREJECT: Mapping[str, str] = {
    "Disinformation": "", "Hate": "S10", "Illegal goods": "S2", "Non-violent": "S2", "Sexual": "S12",
    "Violence": "S1",
}  # fmt: skip
_SETS = {"beavertails_evaluation": _BEAVERTAILS, "catqa": _CATQA, "strongreject": _STRONGREJECT}


def hazards_of_label(label: str) -> frozenset[str] | None:
    """Hazard codes of ``set/category`` or of a bare code; None if the label maps to no single hazard."""
    if label in CODES:
        return frozenset({label})
    name, _, category = label.partition("/")
    for prefix, code in _SETS.get(name, {}).items():
        if category.startswith(prefix):
            return frozenset({code}) if code else None
    return None


def category_dev(prompt: str) -> bool:
    """True for the 15 % of categorised prompts kept to measure the category heads."""
    return zlib.crc32(("category:" + prompt).encode("utf-8", "replace")) % 100 < 15


def pseudo_labels(
    labelled: Sequence[tuple[str, frozenset[str]]],
    prompts: Sequence[str],
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
    confidence: float = 0.6,
) -> dict[str, frozenset[str]]:
    """Hazards of unlabelled harmful prompts by logistic regression on embeddings; only confident ones.

    Args:
        labelled: (prompt, codes) to learn from.
        prompts: what to label.
        embed: texts -> embeddings, shape [n, d].
        confidence: least probability of the best class.
    """
    if not labelled or not prompts:
        return {}
    model = LogisticRegression(C=10.0, max_iter=500, class_weight="balanced")
    model.fit(embed([p for p, _ in labelled]), [min(codes) for _, codes in labelled])
    scores = model.predict_proba(embed(prompts))
    return {
        prompt: frozenset({str(model.classes_[row.argmax()])})
        for prompt, row in zip(prompts, scores, strict=True)
        if row.max() >= confidence
    }
