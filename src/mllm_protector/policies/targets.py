"""From a ``target_fpr`` to a threshold, by the operating points of the detector's calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mllm_protector.calibration.operating import OperatingPoint, OperatingPoints
from mllm_protector.errors import PolicyError
from mllm_protector.interfaces import HarmDetector
from mllm_protector.policy import Policy

__all__ = ["resolve_targets", "target_points"]


def resolve_targets(policy: Policy, detector: HarmDetector) -> Policy:
    """Return the policy with every ``target_fpr`` turned into a threshold.

    Args:
        policy: as loaded; one without targets comes back as it is.
        detector: who is going to score; its attribute ``operating_points`` (head -> table) is looked at.

    Raises:
        PolicyError: the detector has no operating points for a target, or the target is finer than they are.
    """
    found = target_points(policy, detector)
    if not found:
        return policy
    rules = {
        code: replace(rule, threshold=found[code].threshold, target_fpr=None) if code in found else rule
        for code, rule in policy.categories.items()
    }
    own = found.get("harm")
    threshold = policy.threshold if own is None else own.threshold
    return replace(policy, threshold=threshold, target_fpr=None, categories=rules)


def target_points(policy: Policy, detector: HarmDetector) -> dict[str, OperatingPoint]:
    """Return the operating point of every target: ``harm`` or category code -> point.

    Raises:
        PolicyError: see ``resolve_targets``.
    """
    tables: Mapping[str, OperatingPoints] = getattr(detector, "operating_points", {})
    points = {}
    for name, target in policy.targets.items():
        where = f"policy {policy.name}: target_fpr {target:g}" + ("" if name == "harm" else f" of {name}")
        if name not in tables:
            what = f"no operating points for {name}" if tables else "no calibration"
            raise PolicyError(
                f"{where}: the detector has {what}; run `mllm-protector calibrate`, or give a threshold"
            )
        try:
            points[name] = tables[name].resolve(target)
        except ValueError as error:
            raise PolicyError(f"{where}: {error}; give a coarser one, or calibrate on more") from error
    return points
