"""Several detoxifiers as one: the cheapest first, the next only where its text was not accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mllm_protector.errors import ConfigError
from mllm_protector.interfaces import Detoxifier, HarmDetector
from mllm_protector.registry import make
from mllm_protector.types import RewriteTask

__all__ = ["ChainDetoxifier"]

_KEYS = {"name", "options", "cost"}


class ChainDetoxifier:
    """Hands each attempt to the next of its links, in order of cost; the protector verifies every text.

    Args:
        links: each ``{name: ..., options: {...}, cost: 0.0}``; cost is in any unit, 0 if not given, and
            links of equal cost keep their order.
        detector: passed on to links that ask for one.

    Raises:
        ConfigError: there is no link, or one is not laid out as above.
    """

    def __init__(self, links: Sequence[Mapping[str, Any]], *, detector: HarmDetector | None = None) -> None:
        if not isinstance(links, list | tuple) or not links:
            raise ConfigError("chain: give links, such as [{name: embedded}, {name: openai, cost: 1}]")
        for link in links:
            if not isinstance(link, Mapping) or "name" not in link or set(link) - _KEYS:
                raise ConfigError(f"chain: a link has name, options and cost, not {link!r}")
            if link["name"] == "chain":
                raise ConfigError("chain: a chain in a chain; put its links into the outer one")
        self._turns: list[tuple[str, Detoxifier, int]] = []
        for link in sorted(links, key=lambda link: float(link.get("cost", 0.0))):
            made = make("detoxifiers", link["name"], link.get("options") or {}, {"detector": detector})
            self._turns += [(link["name"], made, turn) for turn in range(getattr(made, "attempts", 1))]
        self.attempts = len(self._turns)

    def name_of(self, task: RewriteTask) -> str:
        """Return the name of the link whose turn it is."""
        return self._turns[min(task.turn, self.attempts - 1)][0]

    def detoxify(self, tasks: Sequence[RewriteTask], /) -> list[str]:
        """Return one text per task, in order, each by the link whose turn it is.

        Raises:
            BackendError: a link failed.
        """
        texts = [""] * len(tasks)
        for place, (_, link, turn) in enumerate(self._turns):
            due = [n for n, task in enumerate(tasks) if min(task.turn, self.attempts - 1) == place]
            if due:
                written = link.detoxify([replace(tasks[n], turn=turn) for n in due])
                for n, text in zip(due, written, strict=True):
                    texts[n] = text
        return texts
