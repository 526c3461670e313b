"""Real files decoded, and heard by a tiny random model through the real engine."""

from __future__ import annotations

import io
import wave
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from tests.tiny_whisper import save_tiny_whisper

from mllm_protector.assembly import build
from mllm_protector.config import BackendConfig, Config
from mllm_protector.errors import BackendError, ConfigError
from mllm_protector.registry import make
from mllm_protector.types import Recording


def tone(seconds: float) -> Any:
    return (np.sin(np.arange(int(16_000 * seconds)) / 9) * 9_000).astype("<i2")


def wav(seconds: float = 0.5) -> Recording:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(tone(seconds).tobytes())
    return Recording(stream.getvalue(), "audio/wav")


def video(*, sound: bool) -> Recording:
    """A film of ten grey frames in Matroska, with or without sound."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        voice = container.add_stream("pcm_s16le", rate=16_000, layout="mono") if sound else None
        for _ in range(10):
            grey = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 99, np.uint8), format="rgb24")
            container.mux(pictures.encode(grey))
        container.mux(pictures.encode(None))
        if voice is not None:
            frame = av.AudioFrame.from_ndarray(tone(1)[None, :], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
            container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    return Recording(stream.getvalue(), "video/webm")


class Model:
    """Hears how many samples there are, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def transcribe(self, samples: Any, **_: Any) -> Any:
        self.calls += 1
        assert samples.dtype == np.float32 and abs(samples).max() <= 1
        return iter([SimpleNamespace(text=f" {samples.size} "), SimpleNamespace(text="samples")]), None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def transcriber(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = make("transcribers", "faster-whisper", {"model": str(folder), "threads": 1, "longest": 5})
    monkeypatch.setattr(found, "_model", Model())
    return found


def test_a_real_model_hears_the_same_twice(folder: Path) -> None:
    real = make("transcribers", "faster-whisper", {"model": str(folder), "threads": 1, "language": "en"})
    other = make("transcribers", "faster-whisper", {"model": str(folder), "threads": 1, "language": "en"})
    assert real.transcribe([wav()]) == other.transcribe([wav()])
    assert real.transcribe([]) == [] and isinstance(real.transcribe([wav()])[0], str)


def test_sound_and_videos_are_decoded_in_order(transcriber: Any) -> None:
    found = transcriber.transcribe([wav(0.5), video(sound=True), video(sound=False), wav(0)])
    assert found == ["8000 samples", "16000 samples", "", ""]


def test_a_recording_is_heard_once_whoever_asks(transcriber: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: transcriber.transcribe([wav()]), range(16)))
    assert found == [["8000 samples"]] * 16 and transcriber._model.calls == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"nothing", "cannot be decoded"),
        (wav().data[:40], "cannot be decoded"),
        (b"\x00\x00\x00\x18ftypisom" + b"\x00" * 50, "cannot be decoded"),
        (wav(6).data, "longer than 5 s; raise longest"),
    ],
    ids=["nothing", "cut off", "empty film", "too long"],
)
def test_what_cannot_be_heard(transcriber: Any, data: bytes, why: str) -> None:
    with pytest.raises(BackendError, match=why):
        transcriber.transcribe([Recording(data, "audio/wav")])


def test_an_engine_that_fails(transcriber: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(transcriber._model, "transcribe", fail)
    with pytest.raises(BackendError, match="cannot be transcribed: out of memory"):
        transcriber.transcribe([wav()])


def test_nothing_is_downloaded_and_mistakes_name_the_cure(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="set download: true"):
        make("transcribers", "faster-whisper", {"model": "tiny"})
    with pytest.raises(ConfigError, match="give the folder of a converted model"):
        make("transcribers", "faster-whisper", {"model": str(tmp_path)})
    with pytest.raises(ConfigError, match="beam_size"):
        make("transcribers", "faster-whisper", {"model": str(folder), "beam_size": 0})
    with pytest.raises(ConfigError, match="options it takes: model"):
        make("transcribers", "faster-whisper", {})


def test_a_protector_hears_with_it(folder: Path) -> None:
    config = Config(
        transcriber=BackendConfig(name="faster-whisper", options={"model": str(folder), "threads": 1})
    )
    protector = build(config, threads=1)
    found = protector("What is said?", "Not much.", recordings=[wav()])
    assert found.unchanged and found.error is None
