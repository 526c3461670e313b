"""Estimated similarity against the exact one, and candidates against brute force."""

from __future__ import annotations

import random

import numpy as np

from mllm_protector.data.similarity import NearIndex, bands_of, digest, fold, similarity, sketch

WORDS = [f"w{n:03d}" for n in range(400)]


def texts(count: int, length: int, rng: random.Random) -> list[str]:
    return [" ".join(rng.choices(WORDS, k=length)) for _ in range(count)]


def changed(text: str, count: int, rng: random.Random) -> str:
    words = text.split()
    for place in rng.sample(range(len(words)), count):
        words[place] = rng.choice(WORDS)
    return " ".join(words)


def jaccard(one: str, other: str) -> float:
    a, b = ({text[n : n + 5] for n in range(max(1, len(text) - 4))} for text in (one, other))
    return len(a & b) / len(a | b)


def test_the_estimate_is_near_the_exact_similarity() -> None:
    rng = random.Random(1)
    for length in (8, 60, 300):
        originals = texts(40, length, rng)
        others = [changed(text, rng.randrange(length // 4 + 1), rng) for text in originals]
        signatures = sketch([*originals, *others])
        errors = [
            float(similarity(signatures[n], signatures[40 + n : 41 + n])[0])
            - jaccard(originals[n], others[n])
            for n in range(40)
        ]
        assert abs(float(np.mean(errors))) < 0.03
        assert float(np.std(errors)) < 0.06


def test_near_texts_are_found_and_others_are_not() -> None:
    rng = random.Random(2)
    originals = texts(300, 40, rng)
    index = NearIndex()
    signatures = sketch(originals)
    for signature, bands in zip(signatures, bands_of(signatures), strict=True):
        index.add(signature, bands)
    assert len(index) == 300
    copies = [changed(text, 1, rng) for text in originals]
    signatures = sketch(copies)
    found = [index.nearest(s, b) for s, b in zip(signatures, bands_of(signatures), strict=True)]
    near = [n for n in range(300) if jaccard(originals[n], copies[n]) >= 0.8]
    assert len(near) > 250
    assert all(found[n][0] == n and found[n][1] > 0.65 for n in near)
    strangers = sketch(texts(100, 40, rng))
    assert all(index.nearest(s, b)[1] < 0.5 for s, b in zip(strangers, bands_of(strangers), strict=True))


def test_a_batch_does_not_change_a_signature() -> None:
    rng = random.Random(3)
    many = [*texts(30, 50, rng), "", "ab", "x" * 3_000_000]
    whole = sketch(many)
    for n, text in enumerate(many):
        assert (sketch([text])[0] == whole[n]).all()


def test_texts_without_words_are_like_nothing() -> None:
    signatures = sketch(["", "", "a"])
    assert bands_of(signatures)[:2] == [[], []]
    assert similarity(signatures[0], signatures).tolist() == [0.0, 0.0, 0.0]
    assert len(bands_of(signatures)[2]) == 16
    assert sketch([]).shape == (0, 128)
    assert bands_of(sketch([])) == []


def test_folding() -> None:
    assert fold("  How\tDO i,\nＲｅａｄ “it”?! ") == "how do i read it"
    assert fold("Straße") == fold("STRASSE")
    assert digest("a") != digest("b") and len(digest("\ud83d")) == 16
