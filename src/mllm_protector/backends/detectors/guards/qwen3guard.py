"""Qwen3Guard-Gen, 0.6B to 8B (Alibaba; Apache-2.0), 119 languages.

Layout: the response branch of the chat template in its tokenizer (huggingface.co/Qwen/Qwen3Guard-Gen-8B);
report: arXiv 2510.14276. The answer is ``Safety: Safe``, ``Unsafe`` or ``Controversial``, then
``Categories: ...`` and ``Refusal: ...``.
"""

from __future__ import annotations

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

__all__ = ["qwen3guard"]


def qwen3guard(*, controversial: float = 0.5, **options: Any) -> GuardDetector:
    """Return a detector over a Qwen3Guard-Gen; ``options`` are those of ``build``.

    Args:
        controversial: share of "Controversial" that counts as harmful: 1 is the report's strict mode, 0
            its loose one.
        options: ``model``, ``endpoint``, ``device``, ...

    Raises:
        ConfigError, CheckpointError, MissingExtraError: as for ``build``.
    """
    if not 0.0 <= controversial <= 1.0:
        raise ConfigError(f"qwen3guard: controversial lies in [0, 1], not {controversial!r}")
    return build(
        Guard(
            name="qwen3guard",
            model="Qwen/Qwen3Guard-Gen-4B",
            questions=(Question(_text, Dialogue.messages),),
            verdict=Verdict("Unsafe", "Safe", "Controversial", controversial),
            labels=Labels(" Unsafe\nCategories:", "", LABEL_SETS["qwen3guard"]),
            lead="Safety:",
            answer=32,
        ),
        **options,
    )


def _text(dialogue: Dialogue) -> str:
    return fill(prompt_text("qwen3guard"), conversation=dialogue.labelled("USER", "ASSISTANT"))
