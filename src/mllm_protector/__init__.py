"""MLLM-Protector: guards what a multimodal LLM answers, and leaves the model alone.

    >>> from mllm_protector import load_protector
    >>> protector = load_protector("default")
    >>> result = protector("What is in the picture?", "Two cats on a red sofa.")
    >>> result.action.value, result.response, result.harm < 0.5
    ('allow', 'Two cats on a red sofa.', True)

Importing this package loads nothing heavy: each name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mllm_protector.assembly import build, load_protector
    from mllm_protector.config import Config, load_config
    from mllm_protector.data.images import load_image
    from mllm_protector.errors import ProtectorError
    from mllm_protector.policies import load_policy, policy_names
    from mllm_protector.policy import Policy
    from mllm_protector.protector import Protector
    from mllm_protector.types import (
        Action,
        Attempt,
        Detection,
        Exchange,
        Image,
        PlantedInstruction,
        Protection,
        Query,
        Recording,
        RewriteTask,
        Span,
        Standard,
        Turn,
    )

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Attempt",
    "Config",
    "Detection",
    "Exchange",
    "Image",
    "PlantedInstruction",
    "Policy",
    "Protection",
    "Protector",
    "ProtectorError",
    "Query",
    "Recording",
    "RewriteTask",
    "Span",
    "Standard",
    "Turn",
    "build",
    "load_config",
    "load_image",
    "load_policy",
    "load_protector",
    "policy_names",
]

_HOME = {
    **dict.fromkeys(
        ("Action", "Attempt", "Detection", "Exchange", "Image", "PlantedInstruction", "Protection",
         "Query", "Recording", "RewriteTask", "Span", "Standard", "Turn"),
        "types",
    ),
    "Config": "config",
    "Policy": "policy",
    "Protector": "protector",
    "ProtectorError": "errors",
    "build": "assembly",
    "load_config": "config",
    "load_image": "data.images",
    "load_policy": "policies",
    "load_protector": "assembly",
    "policy_names": "policies",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
