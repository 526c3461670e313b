"""Detectors made of detectors: their members, by name and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mllm_protector.errors import ConfigError
from mllm_protector.interfaces import HarmDetector
from mllm_protector.registry import make

__all__ = ["member"]


def member(owner: str, given: Any, threads: int | None, *, extra: str = "") -> HarmDetector:
    """Make a member from ``{name: ..., options: {...}}``.

    Args:
        owner: name of the detector it is for, for messages.
        given: what the configuration says.
        threads: offered to it.
        extra: a further key that the owner reads itself.

    Raises:
        ConfigError, CheckpointError, MissingExtraError: it is not laid out so, or cannot be built.
    """
    allowed = {"name", "options"} | ({extra} if extra else set())
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str) or set(given) - allowed:
        keys = ", ".join(sorted(allowed))
        raise ConfigError(
            f"{owner}: a member is laid out as {{name: NAME, options: {{...}}}} ({keys}), not {given!r}"
        )
    options = given.get("options") or {}
    if not isinstance(options, Mapping):
        raise ConfigError(f"{owner}: options of {given['name']} are a mapping, not {options!r}")
    made: HarmDetector = make("detectors", given["name"], options, {"threads": threads})
    return made
