"""The policies that requests may be judged by, re-read when their files change."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from mllm_protector.errors import PolicyError
from mllm_protector.gateway.problems import RequestError
from mllm_protector.policies import load_policy, policy_names, resolve_targets
from mllm_protector.policy import Policy
from mllm_protector.protector import Protector
from mllm_protector.suggest import nearest

__all__ = ["PolicyBook"]

_log = logging.getLogger("mllm_protector.gateway")

Signature = tuple[tuple[str, int, int], ...]


class PolicyBook:
    """One protector per policy, all over the same back-ends.

    Args:
        protector: the guard whose back-ends and policy are taken; its policy is the default.
        source: the default policy's name or file, None if it was given as a value.
        named: name -> shipped policy or file, that requests may ask for. Shipped names always work.

    Raises:
        PolicyError: a policy is unknown or malformed.
    """

    def __init__(self, protector: Protector, source: str | None, named: Mapping[str, str]) -> None:
        self._base = protector
        self.default = protector.policy.name
        sources = {name: name for name in policy_names()} | dict(named)
        if source is not None:
            sources[self.default] = source
        self._sources = sources
        self._protectors = {name: self._with(load_policy(src)) for name, src in sources.items()}
        self._protectors[self.default] = self._with(protector.policy)
        self.broken: set[str] = set()
        """Names whose file cannot be read now; their last good form is in force."""
        self._seen = {name: _signature(src) for name, src in sources.items()}

    def names(self) -> list[str]:
        """The names that can be asked for, sorted."""
        return sorted(self._protectors)

    def choose(self, wanted: str | None, allowed: tuple[str, ...] = ()) -> Protector:
        """Return the protector of the policy a request gets.

        Args:
            wanted: what it asked for, None for its default.
            allowed: what its key may ask for; the first is its default. Empty: the default only, or all
                of them if the gateway has no keys (the caller passes them).

        Raises:
            RequestError: 422 for an unknown policy, 403 for one that the key may not use.
        """
        name = (allowed[0] if allowed else self.default) if wanted is None else wanted
        if name not in self._protectors:
            raise RequestError(
                422, "unknown_policy", f"no such policy{nearest(name, self.names())}", "x-protector-policy"
            )
        if wanted is not None and wanted not in (allowed or (self.default,)):
            raise RequestError(
                403, "policy_not_allowed", "this key may not use that policy", "x-protector-policy"
            )
        return self._protectors[name]

    def reload(self) -> tuple[list[str], list[str]]:
        """Read again what changed on disk; return the names reloaded, and those that are broken now.

        A policy that cannot be read keeps its last good form, and the log says so at error level.
        """
        reloaded, broken = [], []
        for name, source in self._sources.items():
            signature = _signature(source)
            if signature == self._seen[name]:
                continue
            self._seen[name] = signature
            try:
                self._protectors[name] = self._with(load_policy(source))
            except PolicyError as error:
                broken.append(name)
                self.broken.add(name)
                _log.error("policy %s was NOT reloaded, its last good form stays in force: %s", name, error)
            else:
                reloaded.append(name)
                self.broken.discard(name)
                _log.warning("policy %s reloaded", name)
        return reloaded, broken

    def _with(self, policy: Policy) -> Protector:
        return self._base.with_policy(resolve_targets(policy, self._base.detector))


def _signature(source: str) -> Signature:
    """What changes when a policy's file, or a file beside it that it may extend, is changed."""
    path = Path(source)
    if source in policy_names() or not path.suffix:
        return ()
    found = []
    for file in sorted([*path.parent.glob("*.yaml"), *path.parent.glob("*.yml"), path]):
        try:
            info = file.stat()
        except OSError:
            found.append((str(file), 0, 0))
            continue
        found.append((str(file), info.st_mtime_ns, info.st_size))
    return tuple(found)
