"""Writes a benchmark folder that is whole or says that it is not.

Every file is written beside its place and moved there, so a crash leaves no half file. ``manifest.json``
comes last and lists the SHA-256 of every file with the settings that made them. Until then there is
``manifest.partial.json`` with the settings alone: the same command goes on (a file that is there is kept,
since equal settings make equal files), another command is turned away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mllm_protector import __version__
from mllm_protector.checkpoints import file_sha256
from mllm_protector.data.files import write_whole
from mllm_protector.errors import OutputError

__all__ = ["MANIFEST", "BenchmarkFolder", "verify_folder"]

MANIFEST = "manifest.json"
_PARTIAL = "manifest.partial.json"


class BenchmarkFolder:
    """A folder under way.

    Args:
        root: where it is to be; must be new, empty, or an interrupted run of the same settings.
        settings: everything that the files depend on, as JSON data.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self.root = root
        self.settings = {**json.loads(json.dumps(settings)), "package": __version__}
        self._files: dict[str, str] = {}
        self._claim()

    def add(self, name: str, make: Callable[[], bytes]) -> bool:
        """Write a file, unless an interrupted run has; return whether it was made now.

        Args:
            name: path inside the folder, with ``/``.
            make: returns its content; the same for the same settings.

        Raises:
            OutputError: it cannot be written.
            ValueError: the name leads out of the folder, or was added before.
        """
        if name in self._files or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{name!r} is no new name inside the folder")
        path = self.root / name
        if path.is_file():
            self._files[name] = file_sha256(path)
            return False
        data = make()
        write_whole(path, data)
        self._files[name] = hashlib.sha256(data).hexdigest()
        return True

    def finish(self) -> None:
        """Write the manifest: the folder is whole.

        Raises:
            OutputError: it cannot be written.
        """
        value = {"settings": self.settings, "files": dict(sorted(self._files.items()))}
        write_whole(self.root / MANIFEST, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
        (self.root / _PARTIAL).unlink(missing_ok=True)

    def _claim(self) -> None:
        whole, partial = self.root / MANIFEST, self.root / _PARTIAL
        if whole.is_file() and not partial.is_file():
            raise OutputError(f"{self.root} is already there and whole; remove it or choose another folder")
        try:
            if partial.is_file():
                if json.loads(partial.read_text(encoding="utf-8")) != self.settings:
                    raise OutputError(
                        f"{self.root} was begun with other settings; remove it or choose another folder"
                    )
                return
            if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
                raise OutputError(f"{self.root} is not an empty folder; choose another")
        except (OSError, ValueError) as error:
            raise OutputError(f"{self.root} cannot be used: {error}; choose another folder") from error
        write_whole(partial, json.dumps(self.settings, ensure_ascii=False).encode())


def verify_folder(root: Path) -> list[str]:
    """Return the files of a whole folder that are missing or differ from its manifest.

    Raises:
        OutputError: there is no manifest.
    """
    try:
        files = json.loads((root / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{root / MANIFEST} cannot be read; run the command again to finish it") from error
    return [n for n, digest in files.items() if not (root / n).is_file() or file_sha256(root / n) != digest]
