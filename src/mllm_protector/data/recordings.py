"""Recordings from a path or a data URI, accepted on their first bytes alone; nothing is decoded here."""

from __future__ import annotations

from pathlib import Path

from mllm_protector.data.references import Kind, read_reference
from mllm_protector.errors import InputError
from mllm_protector.types import Recording

__all__ = ["is_video", "load_recording", "recording_of"]

_FORMATS = "WAV, MP3, FLAC, Ogg, AAC, AIFF, MP4, WebM, Matroska, AVI or MPEG"
_KIND = Kind("recording", _FORMATS, "audio/wav", "cut it into pieces", InputError)
_SOUND_BRANDS = (b"M4A ", b"M4B ", b"F4A ")
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
_STARTS = (
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),  # Matroska and WebM; which of them is a matter of their content
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"#!AMR", "audio/amr"),
    (b"caff", "audio/x-caf"),
)


def load_recording(reference: str, *, base: Path = Path()) -> Recording:
    """Read a recording.

    Args:
        reference: a path (a relative one is taken from ``base``) or a ``data:`` URI in base64.
        base: the folder that relative paths start from; the working folder if not given.

    Raises:
        InputError: it is missing, unreadable, too large, or not a recording.
    """
    return recording_of(read_reference(reference, _KIND, base), _KIND.name(reference))


def recording_of(data: bytes, name: str) -> Recording:
    """Return the recording that ``data`` holds, its type taken from its first bytes.

    Args:
        data: an encoded file.
        name: how messages call it.

    Raises:
        InputError: it is none of the known formats.
    """
    media_type = _media_type(data)
    if media_type is None:
        raise InputError(f"{name} is not a recording that can be read; give a {_FORMATS} file")
    return Recording(data, media_type)


def is_video(recording: Recording) -> bool:
    """True if it may hold pictures beside its sound."""
    return recording.media_type.startswith("video/")


def _media_type(data: bytes) -> str | None:
    for start, media_type in _STARTS:
        if data.startswith(start):
            return media_type
    if data[:4] in (b"RIFF", b"RF64"):
        return {b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(data[8:12])
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    if data[4:8] == b"ftyp" and data[8:12] not in _PICTURE_BRANDS:
        return "audio/mp4" if data[8:12] in _SOUND_BRANDS else "video/mp4"
    if len(data) > 376 and data[0] == data[188] == data[376] == 0x47:
        return "video/mp2t"
    if len(data) > 2 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:  # the sync word of a frame
        return "audio/aac" if data[1] & 0x06 == 0 else "audio/mpeg"
    return None
