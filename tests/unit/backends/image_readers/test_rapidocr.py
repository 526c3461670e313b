"""Real text in real images, read by the real engine."""

from __future__ import annotations

import io
import time

import pytest
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from mllm_protector.assembly import build
from mllm_protector.config import BackendConfig, Config
from mllm_protector.errors import BackendError, ConfigError
from mllm_protector.registry import make
from mllm_protector.types import Image


def drawn(text: str, mode: str = "RGB", ground: object = "white") -> Image:
    picture = Picture.new(mode, (500, 200), ground)  # type: ignore[arg-type]
    ImageDraw.Draw(picture).multiline_text((20, 20), text, fill="black", font=ImageFont.load_default(40))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return Image(stream.getvalue(), "image/png")


@pytest.fixture(scope="module")
def reader() -> object:
    return make("image_readers", "rapidocr", {})


def test_lines_are_read_in_order(reader) -> None:  # type: ignore[no-untyped-def]
    found = reader.read([drawn("Ways to water\na small fern"), drawn("")])
    assert found == ["Ways to water\na small fern", ""]


def test_transparent_pictures_are_read_on_white(reader) -> None:  # type: ignore[no-untyped-def]
    assert reader.read([drawn("Hello there", "RGBA", (0, 0, 0, 0))]) == ["Hello there"]


def test_a_picture_is_read_once(reader) -> None:  # type: ignore[no-untyped-def]
    picture = drawn("Only once")
    reader.read([picture])
    began = time.perf_counter()
    assert reader.read([picture] * 20) == ["Only once"] * 20
    assert time.perf_counter() - began < 0.2


def test_what_is_no_picture(reader) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BackendError, match="cannot be read"):
        reader.read([Image(b"nothing", "image/png")])


def test_wrong_options() -> None:
    with pytest.raises(ConfigError, match="min_score"):
        make("image_readers", "rapidocr", {"min_score": 2})


def test_a_protector_reads_with_it() -> None:
    protector = build(Config(image_reader=BackendConfig(name="rapidocr")), threads=1)
    found = protector("What does it say?", "It says what it says.", [drawn("A blue door")])
    assert found.unchanged and found.error is None
