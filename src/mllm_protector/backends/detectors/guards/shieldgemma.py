"""ShieldGemma, 2B to 27B (Google; Gemma terms).

Layout and guidelines: model card, "use case 2: prompt-response content classification"
(ai.google.dev/gemma/docs/shieldgemma/model_card); paper: Zeng et al. 2024, arXiv 2407.21772. It judges one
guideline at a time, so there are four questions, and the worst answer counts. ``Yes`` means a violation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mllm_protector.backends.detectors.guards.detector import GuardDetector, build
from mllm_protector.backends.detectors.guards.guard import (
    Dialogue,
    Guard,
    Question,
    Verdict,
    fill,
    prompt_text,
)
from mllm_protector.errors import ConfigError
from mllm_protector.suggest import nearest
from mllm_protector.taxonomy import LABEL_SETS

__all__ = ["shieldgemma"]

_GUIDELINES = dict(line.split(": ", 1) for line in prompt_text("shieldgemma-guidelines").splitlines())


def shieldgemma(*, guidelines: Sequence[str] | None = None, **options: Any) -> GuardDetector:
    """Return a detector over a ShieldGemma; ``options`` are those of ``build``.

    Args:
        guidelines: names of the guidelines to ask about, None for all four; each costs a pass.
        options: ``model``, ``endpoint``, ``device``, ...

    Raises:
        ConfigError, CheckpointError, MissingExtraError: as for ``build``.
    """
    names = list(_GUIDELINES) if guidelines is None else list(guidelines)
    unknown = next((name for name in names if name not in _GUIDELINES), None)
    if unknown is not None or not names:
        raise ConfigError(f"shieldgemma: unknown guideline {unknown!r}{nearest(str(unknown), _GUIDELINES)}")
    return build(
        Guard(
            name="shieldgemma",
            model="google/shieldgemma-2b",
            questions=tuple(_question(name) for name in names),
            verdict=Verdict("Yes", "No"),
        ),
        **options,
    )


def _question(name: str) -> Question:
    guideline = f'"{name}": {_GUIDELINES[name]}'
    codes = LABEL_SETS["shieldgemma"][name]

    def text(dialogue: Dialogue) -> str:
        layout = prompt_text("shieldgemma")
        return fill(layout, request=dialogue.request, response=dialogue.response, guideline=guideline)

    def messages(dialogue: Dialogue) -> list[dict[str, str]]:
        return [
            {"role": "user", "content": dialogue.request},
            {"role": "assistant", "content": dialogue.response},
        ]

    # A guideline about much says which of it only where it stands for one category.
    return Question(text, messages, {"guideline": guideline}, codes if len(codes) == 1 else ())
