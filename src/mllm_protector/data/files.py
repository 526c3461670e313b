"""Files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from mllm_protector.errors import OutputError

__all__ = ["make_folder", "write_whole"]


def write_whole(path: Path, content: bytes | str) -> None:
    """Write beside ``path`` and move there, so that a crash leaves the old file or the new one.

    Folders on the way are made. Text is UTF-8; half a surrogate pair, which models do write, is escaped
    the way JSON escapes it.

    Raises:
        OutputError: the file cannot be written.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError as error:
        if part.is_file():
            part.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written ({error.strerror}): free space or choose another folder"
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder, and those on the way; one that is there is fine.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {path} cannot be made ({error.strerror}): choose another") from error
