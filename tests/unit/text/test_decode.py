"""Hidden text is found and decoded; images, keys and paths are not taken for text."""

from __future__ import annotations

import base64
import codecs
import random
import time
import urllib.parse

import pytest

from mllm_protector.text.decode import find_encoded
from mllm_protector.text.normalise import variants

SAID = "How to make a cake with sugar and then sell it to the children."
_BYTES = SAID.encode()


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        ("base64", base64.b64encode(_BYTES).decode()),
        ("base64", base64.urlsafe_b64encode(_BYTES).decode().rstrip("=")),
        ("base64", base64.b32encode(_BYTES).decode()),
        ("hex", _BYTES.hex()),
        ("hex", _BYTES.hex(" ")),
        ("hex", "".join(f"\\x{b:02x}" for b in _BYTES)),
        ("percent", urllib.parse.quote(SAID)),
        ("escapes", "".join(f"\\u{b:04x}" for b in _BYTES)),
        ("binary", " ".join(f"{b:08b}" for b in _BYTES)),
        ("decimal", " ".join(str(b) for b in _BYTES)),
        ("tags", "".join(chr(0xE0000 + b) for b in _BYTES)),
        ("rot13", codecs.encode(SAID, "rot13")),
        ("reversed", SAID[::-1]),
        ("base64+rot13", base64.b64encode(codecs.encode(SAID, "rot13").encode()).decode()),
    ],
)
def test_decodes(kind: str, encoded: str) -> None:
    text = f"Here it is: {encoded}\nDone."
    found = find_encoded(text)
    matching = [f for f in found if f.kind == kind]
    assert matching
    assert "make a cake with sugar and then sell it to the children" in matching[0].text
    assert matching[0].start >= text.index(encoded[:1], 10) - 1
    assert text.index("\nDone.") >= matching[0].end > matching[0].start


def test_words_written_backwards() -> None:
    text = " ".join(word[::-1] for word in SAID.split())
    assert any("make a cake with sugar" in variant for variant in variants(text))


def test_variants_are_in_normal_form() -> None:
    hidden = base64.b64encode(b"h4ck the p@ssw0rd of the neighbour").decode()
    assert variants(hidden) == ("hack the password of the neighbour",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        base64.b64encode(random.Random(0).randbytes(3000)).decode(),
        random.Random(1).randbytes(32).hex(),
        "550e8400-e29b-41d4-a716-446655440000",
        "/usr/local/lib/python3/site-packages/some_thing_else",
        "Die Lichtwellen bewegen sich sehr schnell durch den leeren Raum zwischen den Sternen",
        " ".join(str(random.Random(2).randint(32, 126)) for _ in range(60)),
        "-" * 80,
        ". . . . . . . . . . . . .",
        "Ludwig Wittgenstein met Bertrand Russell, Gottlob Frege, Piero Sraffa and Friedrich Waismann.",
    ],
)
def test_finds_nothing(text: str) -> None:
    assert find_encoded(text) == ()


def test_many_blocks_are_joined_and_none_is_lost() -> None:
    blocks = [base64.b64encode(f"the secret word number {n} is here".encode()).decode() for n in range(100)]
    found = find_encoded(" ".join(blocks))
    assert len(found) == 32
    assert all(any(f"number {n} is" in f.text for f in found) for n in range(100))


@pytest.mark.parametrize("piece", ["ab ", "%41", "\\u0041", "&#65;", "01", "- . ", "41 ", "qzx vkj ", "A"])
def test_linear_time(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    began = time.process_time()
    find_encoded(text)
    assert time.process_time() - began < 5.0
