"""Writes down what is said in sound and video files, with a Whisper model on faster-whisper."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import av
import faster_whisper
import numpy as np
from numpy.typing import NDArray

from mllm_protector.backends.remembering import Remembered
from mllm_protector.errors import BackendError, ConfigError
from mllm_protector.types import Recording

__all__ = ["FasterWhisperTranscriber"]

_RATE = 16_000  # samples per second that Whisper hears


class FasterWhisperTranscriber:
    """Safe to call from several threads; recordings are heard one after the other.

    Of a video only the sound is heard. Nothing is downloaded unless ``download`` says so.

    Args:
        model: folder of a converted Whisper model, or a size such as ``small`` that is in the hub's cache.
        download: fetch a size that is not in the cache, once, when the back-end is built.
        device: ``cpu``, ``cuda`` or ``auto``.
        compute_type: precision of the weights, such as ``int8`` or ``float16``.
        threads: CPU threads, 0 for the engine's choice.
        language: code of the language spoken, None to find out.
        beam_size: hypotheses kept; more is slower and a little better.
        longest: seconds; a longer recording is not heard at all, so that nobody hides behind its length.
        cached: recordings whose words are remembered by the hash of their bytes, 0 for none.

    Raises:
        ConfigError: an argument is out of its range, or the model is not there or cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        *,
        download: bool = False,
        device: str = "cpu",
        compute_type: str = "default",
        threads: int = 0,
        language: str | None = None,
        beam_size: int = 1,
        longest: float = 600.0,
        cached: int = 256,
    ) -> None:
        if beam_size < 1 or longest <= 0 or cached < 0 or threads < 0:
            raise ConfigError(
                "faster-whisper: beam_size is at least 1, longest above 0, cached and threads at least 0"
            )
        self._longest, self._language, self._beam = longest, language, beam_size
        self._model = _loaded(model, download, device, compute_type, threads)
        self._heard = Remembered(cached)

    def transcribe(self, recordings: Sequence[Recording], /) -> list[str]:
        """Return the words of each recording, "" where nothing is said or there is no sound, in order.

        Raises:
            BackendError: a recording cannot be decoded, or is longer than ``longest``.
        """
        return [self._heard.of(recording.data, self._hear) for recording in recordings]

    def _hear(self, data: bytes) -> str:
        samples = self._decoded(data)
        if not samples.size:
            return ""
        try:
            segments, _ = self._model.transcribe(
                samples,
                language=self._language,
                beam_size=self._beam,
                temperature=0.0,  # no second tries by chance: the same recording always reads the same
                condition_on_previous_text=False,  # one hallucination must not feed the next
            )
            return " ".join(text for segment in segments if (text := segment.text.strip()))
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"a recording cannot be transcribed: {error}") from error

    def _decoded(self, data: bytes) -> NDArray[np.float32]:
        """Return mono samples in [-1, 1]; a small file that unfolds into days is left off in time."""
        try:
            with av.open(io.BytesIO(data), metadata_errors="ignore") as container:
                if not container.streams.audio:
                    return np.zeros(0, np.float32)
                pieces = list(self._bounded(container))
        except (av.error.FFmpegError, ValueError) as error:
            raise BackendError(f"a recording cannot be decoded: {error}") from error
        whole = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
        return whole.astype(np.float32) / np.float32(32_768)

    def _bounded(self, container: Any) -> Iterator[NDArray[np.int16]]:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
        size = 0
        for frame in chain(container.decode(audio=0), (None,)):  # None has the rest out
            for piece in resampler.resample(frame):
                samples = piece.to_ndarray()[0]
                size += samples.size
                if size > self._longest * _RATE:
                    raise BackendError(f"a recording is longer than {self._longest:g} s; raise longest")
                yield samples


def _loaded(model: str, download: bool, device: str, compute_type: str, threads: int) -> Any:
    try:
        return faster_whisper.WhisperModel(
            model,
            device=device,
            compute_type=compute_type,
            cpu_threads=threads,
            local_files_only=not download,
        )
    except Exception as error:
        cure = "give the folder of a converted model" if Path(model).exists() else (
            "give its folder, or set download: true to fetch it once"
        )  # fmt: skip
        raise ConfigError(f"faster-whisper: the model {model!r} cannot be loaded; {cure}") from error
