"""Recordings by their first bytes, from files and data URIs."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from mllm_protector.data.recordings import is_video, load_recording, recording_of
from mllm_protector.data.records import to_exchange
from mllm_protector.errors import InputError, RecordError

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (WAV, "audio/wav"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "video/x-msvideo"),
        (b"fLaC\x00", "audio/flac"),
        (b"OggS\x00", "audio/ogg"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"FORM\x00\x00\x00\x00AIFF", "audio/aiff"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        (b"\x00\x00\x00\x20ftypisom", "video/mp4"),
        (b"\x1a\x45\xdf\xa3\x01", "video/webm"),
        (b"\x00\x00\x01\xba\x44", "video/mpeg"),
        ((b"\x47" + b"\x00" * 187) * 3, "video/mp2t"),
    ],
)
def test_formats(data: bytes, media_type: str) -> None:
    found = recording_of(data, "it")
    assert found.media_type == media_type and is_video(found) == media_type.startswith("video/")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"\x00\x00\x00\x20ftypavif",
        b"%PDF",
        b"Ordinary text. " * 50,
    ],
)
def test_what_is_no_recording(data: bytes) -> None:
    with pytest.raises(InputError, match="it is not a recording that can be read; give a WAV"):
        recording_of(data, "it")


def test_from_a_file_or_a_uri(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(WAV)
    uri = "data:audio/wav;base64," + base64.b64encode(WAV).decode()
    assert load_recording("a.wav", base=tmp_path) == load_recording(uri) == recording_of(WAV, "")
    record = {"prompt": "p", "response": "r", "recordings": ["a.wav", uri]}
    assert [r.data for r in to_exchange(record, base=tmp_path).query.recordings] == [WAV, WAV]


def test_mistakes_name_the_cure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"recording 'b\.wav' is not there"):
        load_recording("b.wav", base=tmp_path)
    with pytest.raises(InputError, match="write data:audio/wav;base64"):
        load_recording("data:audio/wav,abc")
    with pytest.raises(RecordError, match=r'line 3: "recordings" is .*write \["voice.wav"\]'):
        to_exchange({"prompt": "", "response": "", "recordings": "a.wav"}, base=tmp_path, line=3)
    with pytest.raises(RecordError, match=r"recordings\[0\]: .*not a recording"):
        to_exchange({"prompt": "", "response": "", "recordings": [__file__]}, base=tmp_path)
