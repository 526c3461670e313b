"""Every data set that can be read, by name; and which one a file is, by its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from mllm_protector.data.sources import (
    aegis,
    beavertails,
    hh_rlhf,
    ours,
    pku_saferlhf,
    safe_harm,
    toxic_chat,
    wildguardmix,
)
from mllm_protector.data.sources.adapter import Adapter
from mllm_protector.errors import InputError
from mllm_protector.suggest import nearest

__all__ = ["SOURCES", "Adapter", "detect", "of_hub", "source_named"]

SOURCES: Mapping[str, Adapter] = MappingProxyType(
    {
        adapter.name: adapter
        for adapter in (
            ours.RECORDS,
            ours.PAIRS,
            ours.SAFE_ANSWERS,
            ours.ORDINARY,
            ours.IMAGE_ANSWERS,
            ours.IMAGE_DESCRIPTIONS,
            pku_saferlhf.ADAPTER,
            beavertails.ADAPTER,
            safe_harm.ADAPTER,
            hh_rlhf.ADAPTER,
            aegis.ADAPTER,
            wildguardmix.ADAPTER,
            toxic_chat.ADAPTER,
        )
    }
)
"""Name -> adapter, our own layouts first."""


def source_named(name: str) -> Adapter:
    """Return the adapter called ``name``.

    Raises:
        InputError: there is none.
    """
    if name not in SOURCES:
        raise InputError(f"unknown source {name!r}{nearest(name, SOURCES)}; `data sources` explains them")
    return SOURCES[name]


def of_hub(identifier: str) -> Adapter | None:
    """Return the adapter of a hub id, None if none claims it."""
    wanted = identifier.lower()
    return next((a for a in SOURCES.values() if a.hub and a.hub.lower() == wanted), None)


def detect(columns: Iterable[str]) -> Adapter:
    """Return the adapter whose schema is the largest that ``columns`` cover.

    Raises:
        InputError: none fits; the message names the columns and the nearest sources with what they lack.
    """
    given = frozenset(columns)
    found = [
        (len(schema), -place, adapter)
        for place, adapter in enumerate(SOURCES.values())
        if adapter.detected
        for schema in adapter.schemas
        if schema <= given
    ]
    if found:
        return max(found, key=lambda item: item[:2])[2]
    near = sorted(
        (a for a in SOURCES.values() if a.detected and len(a.lacks(given)) < min(map(len, a.schemas))),
        key=lambda a: len(a.lacks(given)),
    )[:3]
    hints = "; ".join(f"{a.name} lacks {', '.join(map(repr, a.lacks(given)))}" for a in near)
    raise InputError(
        f"the columns {', '.join(map(repr, sorted(given)[:12])) or '(none)'} are of no known source"
        f"{f' (nearest: {hints})' if hints else ''}; rename them, or name one with --source"
    )
