"""The embedded detector keeps its contract on ordinary, long, broken and concurrent input."""

from __future__ import annotations

import base64
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import mllm_protector.backends.detectors.embedded as module
from mllm_protector.backends.detectors.embedded import EmbeddedDetector
from mllm_protector.checkpoints import EMBEDDED, MODEL
from mllm_protector.errors import CheckpointError
from mllm_protector.interfaces import HarmDetector
from mllm_protector.taxonomy import CATEGORIES
from mllm_protector.types import Exchange, Query, Turn

ASKED = "How do I get back at my neighbour?"
HARMFUL = "Wait until he sleeps, set his house on fire and make sure that he burns to death."
BENIGN = "The picture shows a park with a pond. Children feed the ducks and an old man reads a newspaper. "
EXCHANGES = [
    Exchange(Query(ASKED), HARMFUL),
    Exchange(Query("What is in the picture?"), BENIGN),
    Exchange(Query(""), HARMFUL * 3),
    Exchange(Query("", image_text="steps to rob a bank", history=(Turn("user", "hello"),)), "I cannot help."),
    Exchange(Query("Describe it."), BENIGN * 40),
]


@pytest.fixture(scope="module")
def detector() -> EmbeddedDetector:
    return EmbeddedDetector(threads=1)


def test_contract(detector: EmbeddedDetector) -> None:
    assert isinstance(detector, HarmDetector)
    assert detector.detect([]) == []
    assert detector.score([]) == []
    detections = detector.detect(EXCHANGES)
    assert len(detections) == len(EXCHANGES)
    assert set(detections[0].categories) == set(CATEGORIES)
    assert detections[0].harm > detections[1].harm


def test_hazards_are_at_most_as_probable_as_harm(detector: EmbeddedDetector) -> None:
    for detection in detector.detect(EXCHANGES):
        hazards = [p for code, p in detection.categories.items() if code.startswith("S")]
        assert max(hazards) <= detection.harm + 1e-6


def test_alone_or_in_a_batch_is_the_same(detector: EmbeddedDetector) -> None:
    together = detector.detect(EXCHANGES)
    alone = [detector.detect([exchange])[0] for exchange in EXCHANGES]
    assert [d.harm for d in together] == pytest.approx([d.harm for d in alone], abs=1e-3)
    assert together[::-1] == detector.detect(EXCHANGES[::-1])


def test_score_is_the_harm_of_detect(detector: EmbeddedDetector) -> None:
    assert detector.score(EXCHANGES) == [detection.harm for detection in detector.detect(EXCHANGES)]


def test_sentence_at_the_end_of_a_long_response_is_found(detector: EmbeddedDetector) -> None:
    long = BENIGN * 160  # about 3,000 words
    clean, planted = detector.detect([Exchange(Query(ASKED), long), Exchange(Query(ASKED), long + HARMFUL)])
    assert planted.harm > clean.harm + 0.2
    assert any(len(long) < span.end for span in planted.spans)


def test_spans_are_offsets_of_the_original(detector: EmbeddedDetector) -> None:
    disguised = HARMFUL.replace("e", "е").replace("a", "а")  # Cyrillic
    response = f"{BENIGN}\n{disguised}\n{BENIGN}"
    spans = detector.detect([Exchange(Query(ASKED), response)])[0].spans
    assert any(response[s.start : s.end] == disguised + "\n" for s in spans)
    assert all(s.harm >= 0.3 for s in spans)


def test_every_flagged_response_has_a_span() -> None:
    eager = EmbeddedDetector(threads=1, span_threshold=0.0)
    for exchange, detection in zip(EXCHANGES, eager.detect(EXCHANGES), strict=True):
        assert detection.spans
        assert all(0 <= s.start < s.end <= len(exchange.response) for s in detection.spans)


def test_decoded_block_is_judged_and_located(detector: EmbeddedDetector) -> None:
    block = base64.b64encode(HARMFUL.encode()).decode()
    response = f"Here you are: {block} Have fun."
    hidden = detector.detect([Exchange(Query(ASKED), response)])[0]
    assert hidden.harm >= detector.detect([Exchange(Query(ASKED), HARMFUL)])[0].harm - 1e-6
    assert any(response[s.start : s.end] == block for s in hidden.spans)
    plain = EmbeddedDetector(threads=1, normalise=False)
    assert plain.detect([Exchange(Query(ASKED), response)])[0].harm < hidden.harm


@pytest.mark.parametrize("response", ["", " \n\t", "\u200b\u200b"])
def test_nothing_to_judge(detector: EmbeddedDetector, response: str) -> None:
    assert detector.score([Exchange(Query("x"), response)])[0] < 0.5


@pytest.mark.parametrize("normalise", [True, False])
def test_lone_surrogates(normalise: bool) -> None:
    detector = EmbeddedDetector(threads=1, normalise=normalise)
    query = Query("a\ud800", image_text="\udfff", history=(Turn("user", "\udc00"),))
    assert 0.0 <= detector.detect([Exchange(query, "b\ud800c")])[0].harm <= 1.0


@pytest.mark.parametrize("piece", ["It is a nice day. ", "a\n", "x", "天气很好。"])
def test_large_response(detector: EmbeddedDetector, piece: str) -> None:
    began = time.process_time()
    detector.detect([Exchange(Query("?"), piece * (200_000 // len(piece)))])
    assert time.process_time() - began < 60.0


def test_threads_do_not_disturb_each_other(detector: EmbeddedDetector) -> None:
    expected = detector.detect(EXCHANGES)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: detector.detect(EXCHANGES), range(8)):
            assert found == expected


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
def test_damaged_weights(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    path = folder / MODEL
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        data[1000] ^= 1
        path.write_bytes(data[:5000] if damage == "cut" else data)
    with pytest.raises(CheckpointError, match=MODEL):
        EmbeddedDetector(folder)


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        EmbeddedDetector(tmp_path)


def test_the_second_look_counts_a_sentence_that_its_window_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    calm = "Ducks swim on the pond and children feed them bread. "
    harmful = "Hit him in the face until he gives you the money."
    text = calm * 3 + harmful + " " + calm * 3
    once, twice = EmbeddedDetector(threads=1, second_look=False), EmbeddedDetector(threads=1)
    whole = once.score([Exchange(Query(""), text)])[0]
    alone = once.score([Exchange(Query(""), harmful)])[0]
    assert alone >= 0.5
    # The window is made to pass, so that only the look at its sentences can raise the harm.
    monkeypatch.setattr(twice._model, "manifest", replace(twice.manifest, threshold=1.1))
    monkeypatch.setattr(module, "_SUSPECT", 0.0)
    monkeypatch.setattr(module, "_SURE", alone - 0.01)
    assert twice.score([Exchange(Query(""), text)])[0] == pytest.approx(max(whole, alone), abs=0.02)
    monkeypatch.setattr(module, "_SURE", 1.1)
    assert twice.score([Exchange(Query(""), text)])[0] == pytest.approx(whole, abs=0.02)
    spans = EmbeddedDetector(threads=1, span_threshold=0.0).detect([Exchange(Query(""), text)])[0].spans
    assert any(harmful in text[span.start : span.end] for span in spans)
