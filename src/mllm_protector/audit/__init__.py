"""The record of every verdict: written before the answer leaves, read by reviewers."""

from mllm_protector.audit.store import AuditStore, Entry, Label, TextKept, Verdict

__all__ = ["AuditStore", "Entry", "Label", "TextKept", "Verdict"]
