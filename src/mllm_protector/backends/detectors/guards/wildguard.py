"""WildGuard, 7B (Allen Institute for AI; Apache-2.0).

Layout: ``wildguard/utils.py`` of github.com/allenai/wildguard; paper: Han et al. 2024, arXiv 2406.18495. It
answers three lines, of which the last one counts: ``Harmful request: ...``, ``Response refusal: ...``,
``Harmful response: yes`` or ``no``; the first two it writes itself.
"""

from __future__ import annotations

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

__all__ = ["wildguard"]


def wildguard(**options: Any) -> GuardDetector:
    """Return a detector over WildGuard; ``options`` are those of ``build``.

    Raises:
        ConfigError, CheckpointError, MissingExtraError: as for ``build``.
    """
    return build(
        Guard(
            name="wildguard",
            model="allenai/wildguard",
            questions=(Question(_text),),
            verdict=Verdict("yes", "no"),
            lead="Harmful response:",
            writes=32,
        ),
        **options,
    )


def _text(dialogue: Dialogue) -> str:
    return fill(prompt_text("wildguard"), request=dialogue.request, response=dialogue.response)
