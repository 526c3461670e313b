"""The command line: one file per command, imported when it is chosen."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run ``mllm-protector``."""
    from mllm_protector.cli.app import main as run

    run()
