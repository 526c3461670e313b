"""Policies as files: the shipped ones (``*.yaml`` beside this module) and how any is read."""

from __future__ import annotations

from mllm_protector.policies.document import PolicyDocument
from mllm_protector.policies.loader import (
    load_policy,
    parse_policy,
    policy_names,
    policy_schema,
    policy_source,
)
from mllm_protector.policies.targets import resolve_targets, target_points

__all__ = [
    "PolicyDocument",
    "load_policy",
    "parse_policy",
    "policy_names",
    "policy_schema",
    "policy_source",
    "resolve_targets",
    "target_points",
]
