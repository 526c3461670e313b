"""Normal form: every trick is undone, ordinary text of any language stays as it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mllm_protector.text.normalise import normalise, replace_surrogates, variants


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h\u200bo\u2060w t\u00ado", "how to"),
        ("\u202ehow\u202c", "how"),
        ("h\x00ow", "how"),
        ("h\ufe0fow", "how"),
        ("hоw tо mаkе", "how to make"),  # Cyrillic о, а, е
        ("hοw tο", "how to"),  # Greek omicron
        ("ｈｏｗ ｔｏ", "how to"),
        ("𝓱𝓸𝔀 𝐭𝐨 𝚖𝚊𝚔𝚎", "how to make"),
        ("ⓗⓞⓦ 🅣🅞🅞", "how too"),
        ("ʜᴏᴡ ᴛᴏ ᴍᴀᴋᴇ", "how to make"),
        ("h̵o̵w̵ t̷o̷", "how to"),
        ("h\u0301\u0316\u0337ow", "how"),
        ("h o w  t o  m a k e", "how to make"),
        ("h o w t o m a k e a c a k e", "how to make a cake"),
        ("h.o.w t.o m-a-k-e", "how to make"),
        ("h_o_w", "how"),
        ("h4ck the p@ssw0rd", "hack the password"),
        ("k1ll and b0mb, m3th 4nd m0re t0", "kill and bomb, meth and more to"),
        ("k<b>i</b>ll k<!-- x -->ill", "kill kill"),
        ("k**il**l p~~oi~~son", "kill poison"),
        ("&#104;&#x6f;w", "how"),
        (r"\text{how} \mathrm{to}", "how to"),
        ("killlll them", "kill them"),
        ("howtomakesomethingdangerous", "how to make something dangerous"),
        ("a\ud800b", "a\ufffdb"),
    ],
)
def test_tricks(text: str, expected: str) -> None:
    assert normalise(text) == expected


ORDINARY = [
    "I listen to mp3 files on my PS4; covid19, 4x4, h2o, b2b, utf8, x86_64, i18n, k8s and the 1st at 5am.",
    "The U.S.A. and N.A.T.O., e.g. in A, B, C or D; a.m. and p.m.; call 555-0101; a/b testing.",
    "Größe, Straße und Übermut: die Geschwindigkeitsbegrenzung beträgt 120 km/h.",
    "Привет, мир! Это обычный русский текст, а IT-компания тоже здесь.",
    "Αυτό είναι ένα ελληνικό κείμενο με α και β.",
    "这是普通的中文文本，全角标点！还有①②③。",
    "これは普通の日本語です。ﾃｽﾄ、カタカナ。",
    "می‌خواهم کتاب بخوانم",
    "हिन्दी में एक क्‍ष वाक्य।",
    "Tiếng Việt có nhiều dấu: ệ ữ ẫ.",
    "Family: 👨‍👩‍👧 ❤️ 🇬🇧🇫🇷 ½ x² 10 °C €5 ™",
    "# Title\n\n**Bold** and _italic_, `code`, [a](https://a.example/b_c?d=1&e=2)\n\n| a | b |\n|---|---|\n",
    "def f(a, b):\n    return a*b + a**2 if a_b else {'k': [1, 2]}  # getElementById(x)\n",
    "<ul><li>one</li><li>two</li></ul> &amp; &lt;",
    "a = b * c; i++; x != y && z || w; $HOME/$USER @decorator me@mail.example",
    "Options: A) yes B) no C) maybe D) never. www.example.com xxx III",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert normalise(text) == text
    assert variants(text) == ()


_WORDS = "the a quick brown Fox jumps over lazy dogs, and then (quietly) it sleeps: you can't! 42 3.14 e.g."


@given(st.lists(st.sampled_from(_WORDS.split()), max_size=40).map(" ".join))
def test_plain_prose_is_unchanged(text: str) -> None:
    assert normalise(text) == text


_MIXED = st.lists(
    st.sampled_from(
        [*"abcdehilmostw АаеоΑο013@$.-_* \n\u200b\u0301\ud800𝐡ｗ", "kill", "<b>", "&#104;", "\\text{", "}"]
    ),
    max_size=40,
).map("".join)


@given(st.one_of(_MIXED, st.text(max_size=100)))
def test_result_can_be_encoded_and_is_stable(text: str) -> None:
    once = normalise(text)
    once.encode("utf-8")
    assert normalise(once) == once


def test_replace_surrogates() -> None:
    assert replace_surrogates("a\udfffb") == "a\ufffdb"


@pytest.mark.parametrize(
    "piece", ["a b c d ", "ab", "!@", "1a", "&#65;", "a.", "a*", "<b>", "x", "а", "\u0301"]
)
def test_chunk_time_is_bounded(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    began = time.process_time()
    normalise(text)
    assert time.process_time() - began < 3.0
