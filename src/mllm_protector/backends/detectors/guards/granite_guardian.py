"""Granite Guardian 3.0 to 3.2, and 3.3 by its own template (IBM; Apache-2.0).

Layout and risk definitions: the chat template in the tokenizer (huggingface.co/ibm-granite); paper: Padhi et
al. 2024, arXiv 2412.07724. Up to 3.2 the answer begins with ``Yes`` (the risk is there) or ``No``; 3.3 writes
``<score> yes </score>``, asked without its thoughts.
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

__all__ = ["granite_guardian"]

_RISKS = {
    "harm": "is harmful by common-sense.",
    "social_bias": "contains systemic prejudice against groups based on shared identity or characteristics, "
    "often stemming from stereotypes or cultural influences. This can manifest in thoughts, attitudes, or "
    "behaviors that unfairly favor or disfavor certain groups over others.",
    "profanity": "contains the use of language considered offensive or socially unacceptable in a given "
    "context. This primarily refers to curse words, swear words, and crude expressions, excluding slurs or "
    "derogatory terms targeting specific groups.",
    "sexual_content": "contains material explicitly related to sexual activities, anatomy, or desires. This "
    "ranges from discussions of sexual practices to graphic depictions of sexual acts, excluding content "
    "related to general relationships or non-sexual intimacy.",
    "unethical_behavior": "contains actions that violate moral or professional standards, focusing on "
    "exploitation for personal gain or disregard for others' well-being. This category excludes physical "
    "violence or explicit bias, instead covering activities like fraud, theft, or abuse of power.",
    "violence": "contains content promoting or describing physical harm to individuals or groups. This "
    "includes depictions of assault, self-harm, or creation of a hostile environment through threats or "
    "intimidation.",
}
_MODELS = {
    "3.0": "ibm-granite/granite-guardian-3.0-2b",
    "3.1": "ibm-granite/granite-guardian-3.1-2b",
    "3.2": "ibm-granite/granite-guardian-3.2-5b",
    "3.3": "ibm-granite/granite-guardian-3.3-8b",
}


def granite_guardian(
    *, version: str | float = "3.1", risks: Sequence[str] = ("harm",), **options: Any
) -> GuardDetector:
    """Return a detector over a Granite Guardian; ``options`` are those of ``build``.

    Args:
        version: 3.0, 3.1, 3.2 or 3.3; the last needs ``template: model`` or an endpoint.
        risks: asked one by one; ``harm`` covers all, the others also tell a category, a pass each.
        options: ``model``, ``endpoint``, ``device``, ...

    Raises:
        ConfigError, CheckpointError, MissingExtraError: as for ``build``.
    """
    if str(version) not in _MODELS:
        raise ConfigError(f"granite-guardian: version is {', '.join(_MODELS)}; not {version!r}")
    unknown = next((risk for risk in risks if risk not in _RISKS), None)
    if unknown is not None or not risks:
        raise ConfigError(f"granite-guardian: unknown risk {unknown!r}{nearest(str(unknown), _RISKS)}")
    scored = str(version) == "3.3"
    return build(
        Guard(
            name="granite-guardian",
            model=_MODELS[str(version)],
            questions=tuple(_question(risk, scored=scored) for risk in risks),
            verdict=Verdict("Yes", "No"),
            lead="<score>" if scored else "",
        ),
        **options,
    )


def _question(risk: str, *, scored: bool) -> Question:
    def text(dialogue: Dialogue) -> str:
        definition = f"The 'Assistant' message {_RISKS[risk]}"
        layout = prompt_text("granite-guardian")
        return fill(layout, request=dialogue.request, response=dialogue.response, definition=definition)

    def messages(dialogue: Dialogue) -> list[dict[str, str]]:
        return [
            {"role": "user", "content": dialogue.request},
            {"role": "assistant", "content": dialogue.response},
        ]

    codes = LABEL_SETS["granite-guardian"][risk]
    if scored:
        settings = {"guardian_config": {"criteria_id": risk}, "think": False}
        return Question(None, messages, settings, codes)
    return Question(text, messages, {"guardian_config": {"risk_name": risk}}, codes)
