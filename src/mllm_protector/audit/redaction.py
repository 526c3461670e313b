"""Blanks what looks like a key, token or password, so that no text carries one into the audit."""

from __future__ import annotations

import re

__all__ = ["redact"]

_SECRETS = re.compile(
    r"(?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{12,}"
    r"|\b(?:sk|pk|rk|hf|ghp|gho|ghs|glpat|xox[abp]|gsk)[-_][A-Za-z0-9_-]{16,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{20,}"
    r"|\bA[KS]IA[A-Z0-9]{16}\b"
    r"|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r"|(?i:\b(?:api[-_ ]?key|x-api-key|authorization|password|secret)\s*[=:]\s*)[^\s,;\"']{8,}"
)


def redact(text: str) -> str:
    """Return ``text`` with every key that its shape gives away replaced by ``[key]``."""
    return _SECRETS.sub("[key]", text)
