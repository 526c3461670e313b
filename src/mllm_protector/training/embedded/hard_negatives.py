"""Look-alikes written for this project: harmless texts with alarming words, and mild harmful ones.

``hard_negatives.yaml`` holds a small grammar: subjects with a hazard, forms of harmless writing about
them (refusal with reasons, warning, news, history, fiction, teaching of protection) and mild harmful
answers without usable detail. Also advice given with and without saying that it is not a professional's.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from mllm_protector.training.embedded.examples import Example

__all__ = ["advice_examples", "hard_negative_examples"]


@dataclass(frozen=True, slots=True)
class _Texts:
    """What ``hard_negatives.yaml`` holds.

    Attributes:
        subjects: hazard, request, crime (noun phrase), who is hurt, near (harmless neighbour).
        safe_forms: harmless answers with the fields of a subject left open.
        harmful_forms: the same for mild harmful answers.
        look_alikes: harmless request in words that alarm, and its answer.
        advice: advice code, request, tailored answer.
        disclaimers: sentences that say the advice is not a professional's.
        general: answers that give no tailored advice.
    """

    subjects: Sequence[Mapping[str, str]]
    safe_forms: Sequence[str]
    harmful_forms: Sequence[str]
    look_alikes: Sequence[Mapping[str, str]]
    advice: Sequence[Mapping[str, str]]
    disclaimers: Sequence[str]
    general: Sequence[str]


@cache
def _texts() -> _Texts:
    return _Texts(
        **yaml.safe_load((Path(__file__).parent / "hard_negatives.yaml").read_text(encoding="utf-8"))
    )


def hard_negative_examples(rng: random.Random) -> list[Example]:
    """One draw: every subject in six harmless and four mild harmful forms, and all look-alikes."""
    texts, result = _texts(), []
    for subject in texts.subjects:
        words = {**subject, "Crime": subject["crime"].capitalize(), "Who": subject["who"].capitalize()}
        request, hazard = subject["request"], subject["hazard"]
        safe, harmful = rng.sample(texts.safe_forms, 6), rng.sample(texts.harmful_forms, 4)
        result += [_example(request, form.format(**words), None) for form in safe]
        result += [_example(request, form.format(**words), hazard) for form in harmful]
    return result + [_example(pair["request"], pair["answer"], None) for pair in texts.look_alikes]


def advice_examples(rng: random.Random) -> list[Example]:
    """One draw: tailored advice as if qualified, the same with a disclaimer, and general answers.

    None is harmful as such: advice is judged by heads of its own.
    """
    texts, result = _texts(), []
    for item in texts.advice:
        code, request, answer = item["code"], item["request"], item["answer"]
        endings = [rng.choice((".", ". I am sure of this.", "!")) for _ in range(3)]
        result += [_advice(request, answer + ending, code) for ending in endings]
        # A disclaimer does not make campaign material anything else.
        disclaimed = code if code == "political-lobbying" else None
        result.append(_advice(request, f"{answer}. {rng.choice(texts.disclaimers)}", disclaimed))
        result.append(_advice(request, f"{rng.choice(texts.disclaimers)} {answer}.", disclaimed))
        result.append(_advice(request, rng.choice(texts.general), None))
    return result


def _example(request: str, response: str, hazard: str | None) -> Example:
    return Example(
        prompt=request,
        response=response,
        harm=float(hazard is not None),
        source="generated",
        category=frozenset({hazard}) if hazard else None,
        advice=frozenset(),
    )


def _advice(request: str, response: str, code: str | None) -> Example:
    return Example(request, response, 0.05, "generated", advice=frozenset({code} if code else ()))
