"""Calls a back-end on a batch so that one bad item touches no other (pure but for the call)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from mllm_protector.errors import BackendError

__all__ = ["isolated", "tell"]

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def isolated(
    call: Callable[[Sequence[_In]], Sequence[_Out]],
    items: Sequence[_In],
    check: Callable[[_Out], str | None] = lambda _: None,
) -> list[_Out | Exception]:
    """Call a back-end on a batch; if it fails, halve the batch until the failure has one owner.

    A batch of n with one bad item costs about 2 log2(n) more calls; a back-end that fails on
    everything is called at most 2 n times. Results that break the contract count as failures.
    """
    if not items:
        return []
    try:
        results = call(items)
        if not isinstance(results, list) or len(results) != len(items):
            size = len(results) if isinstance(results, list) else type(results).__name__
            raise BackendError(f"returned {size} results for {len(items)} items")
        if len(items) == 1 and (fault := check(results[0])) is not None:
            raise BackendError(fault)
    except Exception as error:  # noqa: BLE001 (whatever a back-end raises follows the policy)
        if len(items) == 1:
            return [error]
        middle = len(items) // 2
        return [*isolated(call, items[:middle], check), *isolated(call, items[middle:], check)]
    return [r if (fault := check(r)) is None else BackendError(fault) for r in results]


def tell(error: Exception) -> str:
    """Return an error in one line; its own words only, cut, so that a result cannot grow without bound."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:200]}" if words else type(error).__name__
