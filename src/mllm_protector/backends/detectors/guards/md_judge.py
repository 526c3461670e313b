"""MD-Judge v0.1 (Mistral 7B) and v0.2 (InternLM2 7B) of SALAD-Bench (OpenSafetyLab; Apache-2.0).

Layouts and policy: ``saladbench/template.py`` of github.com/OpenSafetyLab/SALAD-BENCH (v0.1) and the model
card of MD-Judge-v0_2-internlm2_7b; paper: Li et al. 2024, arXiv 2402.05044. The first version answers
``safe``, or ``unsafe`` and one label; the second writes its reasons first, then ``[RESULT]: unsafe, ...``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from mllm_protector.backends.detectors.guards.detector import GuardDetector, build
from mllm_protector.backends.detectors.guards.guard import (
    Dialogue,
    Guard,
    Labels,
    Question,
    Verdict,
    fill,
    prompt_text,
)
from mllm_protector.errors import ConfigError
from mllm_protector.taxonomy import LABEL_SETS

__all__ = ["md_judge"]

_CODES = {label.removeprefix("O"): codes for label, codes in LABEL_SETS["md-judge"].items()}


def md_judge(*, version: int = 1, reasons: int = 256, **options: Any) -> GuardDetector:
    """Return a detector over an MD-Judge; ``options`` are those of ``build``.

    Args:
        version: 1 for v0.1, 2 for v0.2.
        reasons: most tokens that v0.2 may spend on its reasons before it has to decide.
        options: ``model``, ``endpoint``, ``device``, ...

    Raises:
        ConfigError, CheckpointError, MissingExtraError: as for ``build``.
    """
    if version not in (1, 2):
        raise ConfigError(f"md-judge: version is 1 (v0.1) or 2 (v0.2), not {version!r}")
    if reasons < 1:
        raise ConfigError(f"md-judge: reasons is at least 1 token, not {reasons!r}")
    return build(_FIRST if version == 1 else replace(_SECOND, writes=reasons), **options)


def _first(dialogue: Dialogue) -> str:
    policy = prompt_text("md-judge-policy")
    layout = prompt_text("md-judge-1")
    return fill(layout, policy=policy, request=dialogue.request, response=dialogue.response)


def _asked(dialogue: Dialogue) -> str:
    """What the second version is asked; its policy differs from the first one's in two details."""
    policy = re.sub(r"^(O\d+: .*)$", r"\1.", prompt_text("md-judge-policy"), flags=re.MULTILINE)
    policy = policy.replace("involving engaging in malicious", "involving malicious")
    layout = prompt_text("md-judge-2")
    return fill(layout, policy=policy, request=dialogue.request, response=dialogue.response)


def _second(dialogue: Dialogue) -> str:
    return f"<|im_start|>user\n{_asked(dialogue)}<|im_end|>\n<|im_start|>assistant\n"


def _message(dialogue: Dialogue) -> list[dict[str, str]]:
    return [{"role": "user", "content": _asked(dialogue)}]


_FIRST = Guard(
    name="md-judge",
    model="OpenSafetyLab/MD-Judge-v0.1",
    questions=(Question(_first),),
    verdict=Verdict("unsafe", "safe"),
    labels=Labels(" unsafe\nO", "O", _CODES),
)
_SECOND = Guard(
    name="md-judge",
    model="OpenSafetyLab/MD-Judge-v0_2-internlm2_7b",
    questions=(Question(_second, _message),),
    verdict=Verdict("unsafe", "safe"),
    labels=Labels(" unsafe, score 4\n[UNSAFE CATEGORY]: O", "O", _CODES),
    lead="[RESULT]:",
    answer=32,
)
