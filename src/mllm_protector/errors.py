"""Every error this package raises on purpose, in one tree.

ProtectorError                  base of all; its message is one line and names the cure
 |- InputError                  what the caller handed in cannot be used
 |   |- RecordError             a record of a file is not what it should be (carries the line number)
 |   `- ImageError              an image is missing, not an image, or too large to open safely
 |- PolicyError                 a policy is unknown, malformed or inherits from itself
 |- ConfigError                 a configuration is malformed or names an unknown back-end
 |- CheckpointError             the files of a trained model are missing, damaged or of another version
 |- MissingExtraError           an optional dependency is not installed
 |- BackendError                a detector, detoxifier or reader failed, or broke its contract
 |   `- OutageError             a model stopped answering; the same command goes on when it is back
 |- TrainingError               training cannot start or go on (data, loss, disk)
 `- OutputError                 a result cannot be written (permissions, full disk, other run's file)
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "CheckpointError",
    "ConfigError",
    "ImageError",
    "InputError",
    "MissingExtraError",
    "OutageError",
    "OutputError",
    "PolicyError",
    "ProtectorError",
    "RecordError",
    "TrainingError",
]


class ProtectorError(Exception):
    """Base class; ``exit_code`` is what the command line ends with when it is the reason."""

    exit_code: int = 1


class InputError(ProtectorError):
    """What the caller handed in cannot be used."""

    exit_code = 3


class RecordError(InputError):
    """A record of a file is not what it should be.

    Args:
        message: what is wrong and how to mend it.
        line: 1-based line number in the file, 0 if the record came from elsewhere.
    """

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


class ImageError(InputError):
    """An image is missing, is not an image, or is too large to open safely."""


class PolicyError(ProtectorError):
    """A policy is unknown, malformed, or inherits from itself."""

    exit_code = 4


class ConfigError(ProtectorError):
    """A configuration is malformed or names an unknown back-end."""

    exit_code = 4


class CheckpointError(ProtectorError):
    """The files of a trained model are missing, damaged or of another version."""

    exit_code = 5


class MissingExtraError(ProtectorError):
    """An optional dependency is not installed; the message holds the exact ``pip install``."""

    exit_code = 5


class BackendError(ProtectorError):
    """A back-end failed, or broke its contract (wrong length, score outside [0, 1])."""

    exit_code = 6


class OutageError(BackendError):
    """A model stopped answering; the same command goes on when it is back."""


class TrainingError(ProtectorError):
    """Training cannot start or go on; the message says what is lost (nothing) and how to resume."""

    exit_code = 7


class OutputError(ProtectorError):
    """A result cannot be written: permissions, a full disk, or a file of another run."""

    exit_code = 8
