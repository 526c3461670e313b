"""Detectors made of detectors: their members, by name and options."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mllm_protector.errors import ConfigError
from mllm_protector.interfaces import HarmDetector
from mllm_protector.registry import fingerprint, make
from mllm_protector.types import Detection, Exchange

__all__ = ["Member", "fingerprint_of", "member"]


@dataclass(frozen=True, slots=True)
class Member:
    """A detector inside another one.

    Attributes:
        detector: what judges.
        fingerprint: what identifies its scores.
    """

    detector: HarmDetector
    fingerprint: str

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return what the detector says."""
        return self.detector.detect(exchanges)


def member(owner: str, given: Any, threads: int | None, *, extra: str = "") -> Member:
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
    return Member(made, fingerprint(given["name"], options, made))


def fingerprint_of(owner: str, members: Sequence[Member], *settings: object) -> str:
    """Return what identifies the scores of ``owner``: its members', and how it puts them together."""
    told = repr(([member.fingerprint for member in members], settings))
    return f"{owner}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
