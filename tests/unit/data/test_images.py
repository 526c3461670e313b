"""Images are judged by their first bytes; nothing is unfolded."""

from __future__ import annotations

import base64
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.data.images import MAX_BYTES, ImageHeader, load_image, read_header
from mllm_protector.errors import ImageError


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)


def jpeg(width: int, height: int) -> bytes:
    app = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\x00" + bytes(9)
    table = b"\xff\xc4" + struct.pack(">H", 4) + b"ab"  # in the range of frame headers, but is none
    frame = b"\xff\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + app + table + frame


def webp(chunk: bytes, body: bytes) -> bytes:
    return (
        b"RIFF" + struct.pack("<I", 4 + 8 + len(body)) + b"WEBP" + chunk + struct.pack("<I", len(body)) + body
    )


def bmp(width: int, height: int) -> bytes:
    return b"BM" + bytes(12) + struct.pack("<Iii", 40, width, height)


KNOWN = [
    (png(3, 4), ImageHeader("image/png", 3, 4)),
    (jpeg(640, 480), ImageHeader("image/jpeg", 640, 480)),
    (b"GIF89a" + struct.pack("<HH", 5, 6), ImageHeader("image/gif", 5, 6)),
    (
        webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 7 | 0x4000, 8)),
        ImageHeader("image/webp", 7, 8),
    ),
    (webp(b"VP8L", b"\x2f" + struct.pack("<I", 8 | 11 << 14)), ImageHeader("image/webp", 9, 12)),
    (webp(b"VP8X", bytes(4) + b"\x0c\x00\x00\x0d\x00\x00"), ImageHeader("image/webp", 13, 14)),
    (bmp(15, -16), ImageHeader("image/bmp", 15, 16)),
    (b"BM" + bytes(12) + struct.pack("<IHH", 12, 17, 18), ImageHeader("image/bmp", 17, 18)),
]


@pytest.mark.parametrize(("data", "header"), KNOWN)
def test_size_and_type_are_read_from_the_header(data: bytes, header: ImageHeader) -> None:
    assert read_header(data) == header


@pytest.mark.parametrize(("data", "header"), KNOWN)
def test_a_header_that_is_cut_off_is_no_image(data: bytes, header: ImageHeader) -> None:
    needed = next(n for n in range(len(data) + 1) if read_header(data[:n]) is not None)
    assert all(read_header(data[:n]) in (None, header) for n in range(len(data)))
    assert needed > 8


@given(st.sampled_from([data[:4] for data, _ in KNOWN] + [b""]), st.binary(max_size=80))
def test_any_bytes_give_a_header_or_none(start: bytes, rest: bytes) -> None:
    header = read_header(start + rest)
    assert header is None or (header.width >= 0 and header.height >= 0)


def test_a_path_is_relative_to_the_base_and_the_type_comes_from_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(png(2, 2))
    image = load_image("photo.jpg", base=tmp_path)
    assert (image.data, image.media_type) == (png(2, 2), "image/png")


def test_a_data_uri_is_decoded(tmp_path: Path) -> None:
    uri = "data:image/png;base64," + base64.b64encode(png(2, 2)).decode()
    assert load_image(uri, base=tmp_path).data == png(2, 2)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("absent.png", "is not there"),
        ("text.png", "not an image"),
        ("empty.png", "not an image"),
        (".", "not a file"),
        ("bomb.png", "60000 x 60000 pixels"),
        ("flat.png", "has no pixels"),
        ("https://example.org/a.png", "web address"),
        ("a\0b.png", "cannot be opened"),
        ("x" * 5000, "cannot be opened"),
        ("data:image/png,abc", "malformed"),
        ("data:image/png;base64", "malformed"),
        ("data:image/png;base64,@@@", "not valid base64"),
        ("data:image/png;base64,é", "not valid base64"),
        ("data:text/plain;base64,aGVsbG8=", "not an image"),
        ("data:image/png;base64," + "A" * (MAX_BYTES * 4 // 3 + 100), "over the limit"),
        ("large.png", "over the limit of 20 MB"),
    ],
)
def test_what_cannot_be_used_is_an_error_in_one_line(tmp_path: Path, reference: str, message: str) -> None:
    (tmp_path / "text.png").write_text("hello, I am not a picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "bomb.png").write_bytes(png(60_000, 60_000))
    (tmp_path / "flat.png").write_bytes(png(0, 10))
    with (tmp_path / "large.png").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(ImageError, match=message) as caught:
        load_image(reference, base=tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a file"):
        load_image("pipe.png", base=tmp_path)
