"""Parts of every shape that clients send: read, or reported, and never passed over."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from mllm_protector.gateway.parts import Able, Remote, part_text, read_parts
from mllm_protector.gateway.settings import LimitSettings
from mllm_protector.gateway.wire import chat_query
from mllm_protector.types import Image, Recording

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 2, 2)
BOMB = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 60_000, 60_000)
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt "
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00"
EVERYTHING = Able(images=True, recordings=True, remote=True)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{b64(data)}"


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


IMAGES: list[dict[str, Any]] = [
    {"type": "image_url", "image_url": {"url": url(PNG), "detail": "low"}},
    {"type": "image_url", "image_url": url(PNG)},
    {"type": "image_url", "image_url": {"url": url(PNG).replace("image/png", "application/x-whatever")}},
    {"type": "input_image", "image_url": url(PNG), "detail": "auto"},
    {"type": "image", "image": url(PNG)},
    {"type": "image", "image": b64(PNG)},
    {"type": "image", "url": url(PNG)},
    {"type": "image", "base64": b64(PNG).rstrip("=")},
    {"type": "image", "data": b64(PNG), "mimeType": "image/png"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": b64(PNG)}},
    {"type": "file", "file": {"filename": "x.png", "file_data": url(PNG)}},
    {"type": "input_file", "filename": "x.png", "file_data": url(PNG)},
    {"image_url": url(PNG)},
    {"type": "text", "text": "Look.", "image_url": {"url": url(PNG)}},
    {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image", "image": url(PNG)}]},
    {"type": "tool_result", "content": "words", "image_url": url(PNG)},
    {"type": "shape_of_tomorrow", "deep": {"er": [{"still": url(PNG)}]}},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,\n{b64(PNG)[:20]}\n{b64(PNG)[20:]}"}},
]  # fmt: skip
RECORDINGS: list[dict[str, Any]] = [
    {"type": "input_audio", "input_audio": {"data": b64(WAV), "format": "wav"}},
    {"type": "audio_url", "audio_url": {"url": url(WAV, "audio/wav")}},
    {"type": "audio", "audio": url(WAV, "audio/wav")},
    {"type": "file", "file": {"file_data": url(WAV, "audio/wav")}},
    {"type": "audio", "source": {"type": "base64", "media_type": "audio/wav", "data": b64(WAV)}},
]
VIDEOS: list[dict[str, Any]] = [
    {"type": "video_url", "video_url": {"url": url(MP4, "video/mp4")}},
    {"type": "input_video", "input_video": {"data": b64(MP4), "format": "mp4"}},
    {"type": "file", "file": {"file_data": url(MP4, "video/mp4")}},
]
UNREADABLE: list[tuple[dict[str, Any], str]] = [
    ({"type": "file", "file": {"file_data": url(b"%PDF-1.7", "application/pdf")}}, "reads PDF"),
    ({"type": "document", "source": {"type": "base64", "data": b64(b"%PDF-1.7")}}, "reads PDF"),
    ({"type": "file", "file": {"file_id": "file-1"}}, "named by id"),
    ({"type": "input_image", "file_id": "file-1"}, "named by id"),
    ({"type": "image_file", "image_file": {"file_id": "file-1"}}, "named by id"),
    ({"type": "input_file", "file_url": "https://x.example/a.pdf"}, "not fetched"),
    ({"type": "audio_url", "audio_url": {"url": "https://x.example/a.wav"}}, "not fetched"),
    ({"type": "video_url", "video_url": "ftp://x.example/a.mp4"}, "not fetched"),
    ({"type": "image_url", "image_url": {"url": "data:image/png,abc"}}, "must be base64"),
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}, "not valid base64"),
    ({"type": "image_url", "image_url": {"url": url(b"<svg/>", "image/svg+xml")}}, "not a PNG"),
    ({"type": "image_url", "image_url": {"url": url(BOMB)}}, "over the limit of 50 megapixels"),
    ({"type": "image_url"}, "reads parts of this kind"),
    ({"type": "image_url", "image_url": None}, "reads parts of this kind"),
    ({"type": "input_audio", "input_audio": {"data": b64(b"hello"), "format": "wav"}}, "not a recording"),
    ({"type": "text", "text": [1, 2]}, "reads parts of this kind"),
    ({"type": "shape_of_tomorrow"}, "reads parts of this kind"),
    ({}, "reads parts of this kind"),
]  # fmt: skip


@pytest.mark.parametrize("part", IMAGES, ids=lambda part: repr(part)[:60])
def test_images_of_every_shape(part: dict[str, Any]) -> None:
    parts = read_parts(user({"type": "text", "text": "What?"}, part), EVERYTHING)
    assert [m.content for m in parts.media] == [Image(PNG, "image/png")] and parts.not_run == ()
    unread = read_parts(user(part), Able())
    assert unread.media == () and len(unread.not_run) == 1 and "no image_reader" in unread.not_run[0]


@pytest.mark.parametrize("part", RECORDINGS, ids=lambda part: repr(part)[:60])
def test_recordings_of_every_shape(part: dict[str, Any]) -> None:
    parts = read_parts(user(part), EVERYTHING)
    assert [m.content for m in parts.media] == [Recording(WAV, "audio/wav")] and parts.not_run == ()
    assert "no transcriber" in read_parts(user(part), Able(images=True)).not_run[0]


@pytest.mark.parametrize("part", VIDEOS, ids=lambda part: repr(part)[:60])
def test_a_video_is_heard_and_says_that_it_is_not_seen(part: dict[str, Any]) -> None:
    parts = read_parts(user(part), EVERYTHING)
    assert [m.content for m in parts.media] == [Recording(MP4, "video/mp4")]
    assert len(parts.not_run) == 1 and "pictures of a video are not looked at" in parts.not_run[0]


@pytest.mark.parametrize(("part", "why"), UNREADABLE, ids=[repr(p)[:60] for p, _ in UNREADABLE])
def test_what_cannot_be_read_is_reported(part: dict[str, Any], why: str) -> None:
    parts = read_parts(user(part), EVERYTHING)
    assert parts.media == () and len(parts.not_run) == 1 and why in parts.not_run[0]
    assert parts.not_run[0].startswith("messages[0].content[0] (") and "x.example" not in parts.not_run[0]


def test_remote_images_are_left_to_the_fetcher_only_if_allowed() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
    (medium,) = read_parts(user(part), EVERYTHING).media
    assert medium.content == Remote("https://x.example/a.png")
    assert medium.where == "messages[0].content[0] (image_url)"
    assert "not fetched" in read_parts(user(part), Able(images=True)).not_run[0]


def test_frames_answers_that_were_spoken_and_pictures_of_earlier_answers() -> None:
    messages = [
        {"role": "user", "content": [{"type": "video", "video": [url(PNG), url(PNG)]}]},
        {"role": "assistant", "content": "Hm.", "audio": {"id": "audio_1"}},
        {"role": "assistant", "content": None, "images": [{"type": "image_url", "image_url": url(PNG)}]},
        {"role": "tool", "content": [{"type": "image_url", "image_url": url(PNG)}]},
    ]
    parts = read_parts(messages, EVERYTHING)
    assert len(parts.media) == 4 and all(isinstance(m.content, Image) for m in parts.media)
    assert [note.partition(":")[0] for note in parts.not_run] == ["messages[1].audio (audio)"]


TEXTS: list[tuple[Any, str]] = [
    ({"type": "text", "text": "a"}, "a"),
    ({"type": "input_text", "text": "a"}, "a"),
    ({"type": "text", "text": {"value": "a", "annotations": []}}, "a"),
    ({"text": "a"}, "a"),
    ({"type": "refusal", "refusal": "a"}, "a"),
    ({"type": "output_text", "text": "a", "annotations": [{"type": "url", "url": "https://x.example"}]}, "a"),
    ({"type": "tool_result", "content": "a"}, "a"),
    ({"type": "tool_result", "content": [{"type": "text", "text": "a"}, {"text": "b"}]}, "a\nb"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "text"), TEXTS, ids=[repr(p)[:60] for p, _ in TEXTS])
def test_texts_are_no_media(part: Any, text: str) -> None:
    assert part_text(part) == text
    assert read_parts(user(part), Able()) == read_parts([], Able())
    assert chat_query({"messages": user(part, "c")}, LimitSettings()).prompt == f"{text}\nc"


def test_a_part_nested_without_end_is_reported_and_not_followed() -> None:
    part: dict[str, Any] = {"type": "image_url", "image_url": url(PNG)}
    for _ in range(200):
        part = {"type": "tool_result", "content": [part]}
    parts = read_parts(user(part), EVERYTHING)
    assert parts.media == () and len(parts.not_run) == 1
