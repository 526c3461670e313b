"""Llama Guard 1 to 4 (Meta; Llama community licences).

Layouts: ``llama-recipes/src/llama_recipes/inference/prompt_format_utils.py`` (versions 1 to 3, the first
with its policies as in its tokenizer's template) and the pages "Llama Guard 3" and "Llama Guard 4" of
llama.com/docs/model-cards-and-prompt-formats. The answer is ``safe``, or ``unsafe`` and, on a second
line, the labels. Llama Guard paper: Inan et al. 2023, arXiv 2312.06674.
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

__all__ = ["llama_guard"]

_MODELS = {
    1: "meta-llama/LlamaGuard-7b",
    2: "meta-llama/Meta-Llama-Guard-2-8B",
    3: "meta-llama/Llama-Guard-3-8B",
    4: "meta-llama/Llama-Guard-4-12B",
}
_SETS = {1: "llama-guard-1", 2: "llama-guard-2", 3: "llama-guard", 4: "llama-guard"}
_IMAGE = "<|image|>"


def llama_guard(*, version: int = 3, **options: Any) -> GuardDetector:
    """Return a detector over a Llama Guard; ``options`` are those of ``build``.

    Args:
        version: 1, 2, 3 or 4; the fourth is shown the query's images.
        options: ``model``, ``endpoint``, ``device``, ...

    Raises:
        ConfigError, CheckpointError, MissingExtraError: as for ``build``.
    """
    if version not in _MODELS:
        raise ConfigError(f"llama-guard: version is 1, 2, 3 or 4, not {version!r}")
    return build(_guard(version), **options)


def _guard(version: int) -> Guard:
    modern = version >= 3
    mark = "O" if version == 1 else "S"
    codes = LABEL_SETS[_SETS[version]]
    return Guard(
        name="llama-guard",
        model=_MODELS[version],
        questions=(Question(lambda d: _text(version, d), Dialogue.messages),),
        verdict=Verdict("unsafe", "safe"),
        labels=Labels(
            before=f"{'' if modern else ' '}unsafe\n{mark}",
            prefix=mark,
            codes={label.removeprefix(mark): c for label, c in codes.items() if label != "safe"},
        ),
        lead="\n\n" if modern else "",
        sees=version == 4,
    )


def _text(version: int, dialogue: Dialogue) -> str:
    layout = prompt_text(f"llama-guard-{min(version, 3)}")
    asked = fill(layout, conversation=dialogue.labelled("User", "Agent"))
    if version < 3:
        return asked
    if version == 3:
        return (
            f"<|start_header_id|>user<|end_header_id|>\n\n{asked}<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>"
        )
    images = _IMAGE * len(dialogue.images)
    return (
        f"<|header_start|>user<|header_end|>\n\n{images}{asked}<|eot|><|header_start|>assistant<|header_end|>"
    )
