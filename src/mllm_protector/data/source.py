"""Where records come from: a file that can be picked up in the middle, or a stream that cannot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mllm_protector.data.jsonl import Line, read_lines
from mllm_protector.errors import InputError, OutputError

__all__ = ["START", "Position", "Source"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two lines of the input.

    Attributes:
        line: how many lines come before.
        offset: how many bytes come before.
        digest: SHA-256 of those bytes, "" for a stream that cannot be resumed.
    """

    line: int = 0
    offset: int = 0
    digest: str = ""


START = Position()
"""The beginning of the input."""


class Source:
    """Lines of a binary file, and the position behind the last one handed out.

    Args:
        stream: the open file.
        path: where it is; None for standard input, which cannot be resumed.
    """

    def __init__(self, stream: BinaryIO, path: Path | None) -> None:
        self.path = path
        self._stream = stream
        self._hash = hashlib.sha256() if path is not None else None
        self._line = 0
        self._offset = 0

    @property
    def base(self) -> Path:
        """The folder that relative image paths start from."""
        return Path.cwd() if self.path is None else self.path.absolute().parent

    @property
    def size(self) -> int | None:
        """Bytes in all, None if that cannot be known."""
        return None if self.path is None else self.path.stat().st_size

    @property
    def position(self) -> Position:
        """Where the next line begins."""
        return Position(self._line, self._offset, self._hash.hexdigest() if self._hash else "")

    def resume(self, position: Position) -> None:
        """Go on from ``position``, if everything before it still is what it was.

        Lines behind it may have been mended or added since: only what is done has to be the same.

        Raises:
            OutputError: the part that was read already has changed.
        """
        assert self._hash is not None, "only a file can be resumed"
        left = position.offset
        while left and (chunk := self._read(min(left, _CHUNK))):
            self._hash.update(chunk)
            left -= len(chunk)
        if left or self._hash.hexdigest() != position.digest:
            raise OutputError(
                f"{self.path} has changed before line {position.line + 1} since the interrupted run; "
                "give --restart to begin again, or put the file back"
            )
        self._line, self._offset = position.line, position.offset

    def lines(self) -> Iterator[Line]:
        """Yield the remaining lines; ``position`` follows."""
        try:
            for line in read_lines(self._stream, after=self._line):
                self._line, self._offset = line.number, self._offset + line.size
                if self._hash is not None:
                    self._hash.update(line.data)
                yield line
        except OSError as error:
            raise InputError(f"{self.path or 'standard input'} cannot be read: {error.strerror}") from error

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}") from error
