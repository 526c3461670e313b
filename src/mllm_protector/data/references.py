"""Bytes of a file or a ``data:`` URI that a record refers to, within a limit of size."""

from __future__ import annotations

import base64
import binascii
import stat
from dataclasses import dataclass
from pathlib import Path

from mllm_protector.errors import InputError

__all__ = ["MAX_BYTES", "Kind", "read_reference"]

MAX_BYTES = 20 * 1024 * 1024
"""Largest encoded file accepted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is referred to, in the words of messages.

    Attributes:
        noun: ``image`` or ``recording``.
        formats: those accepted.
        example: a MIME type.
        smaller: what makes one smaller.
        error: what is raised.
    """

    noun: str
    formats: str
    example: str
    smaller: str
    error: type[InputError]

    def name(self, reference: str) -> str:
        """How messages call what ``reference`` stands for."""
        uri = reference[:5].lower() == "data:"
        return f"{'data URI' if uri else self.noun} {_short(reference)}"


def read_reference(reference: str, kind: Kind, base: Path) -> bytes:
    """Return the bytes; a relative path is taken from ``base``.

    Raises:
        InputError: of ``kind``; it is missing, unreadable or too large.
    """
    read = _from_uri if reference[:5].lower() == "data:" else _from_path
    return read(reference, kind, base)


def _from_path(reference: str, kind: Kind, base: Path) -> bytes:
    name = kind.name(reference)
    if "://" in reference[:12]:
        raise kind.error(f"{name} is a web address; download it and give its path or a data URI")
    try:
        path = base / Path(reference)
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise kind.error(f"{name} is not a file; give a {kind.formats} file")
        if info.st_size > MAX_BYTES:
            raise kind.error(_too_large(name, kind, info.st_size))
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise kind.error(f"{name} is not there; relative paths start from {base}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise kind.error(f"{name} cannot be opened: {_why(error)}") from error
    if len(data) > MAX_BYTES:
        raise kind.error(_too_large(name, kind, len(data)))
    return data


def _from_uri(uri: str, kind: Kind, _: Path) -> bytes:
    name = kind.name(uri)
    head, comma, body = uri.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise kind.error(f"{name} is malformed; write data:{kind.example};base64,AAAA...")
    if len(body) * 3 // 4 > MAX_BYTES + 2:
        raise kind.error(_too_large(name, kind, len(body) * 3 // 4))
    try:
        return base64.b64decode(body.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise kind.error(f"{name} is not valid base64; encode the file again") from error


def _too_large(name: str, kind: Kind, size: int) -> str:
    return f"{name} has {size / 2**20:.0f} MB, over the limit of {MAX_BYTES >> 20} MB; {kind.smaller}"


def _short(reference: str) -> str:
    shown = reference if len(reference) <= 80 else reference[:40] + "..." + reference[-20:]
    if reference[:5].lower() == "data:":
        shown = reference[:32] + ("..." if len(reference) > 32 else "")
    return ascii(shown)


def _why(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
