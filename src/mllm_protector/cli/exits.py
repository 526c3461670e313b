"""What the command ends with. Errors carry their own code (``errors.ProtectorError.exit_code``)."""

from __future__ import annotations

__all__ = ["EXIT_CODES", "FLAGGED", "INTERRUPTED", "READER_GONE", "SKIPPED"]

SKIPPED = 9
"""The run is complete, but lines were skipped (``--on-bad-line skip``)."""

FLAGGED = 10
"""``--fail-on-flag`` was given and something was flagged."""

INTERRUPTED = 130
"""Ctrl-C."""

READER_GONE = 141
"""Whoever read our output stopped reading, as ``| head`` does."""

EXIT_CODES = (
    "Exit codes: 0 done, 1 other error, 2 wrong usage, 3 bad input, 4 bad policy or configuration, "
    "5 model damaged or extra missing, 6 a back-end failed, 7 training failed, 8 output cannot be written, "
    "9 done but bad lines were skipped, 10 something was flagged (--fail-on-flag), 130 interrupted, "
    "141 the reader of the output went away."
)
