"""Scores are kept as they are made: an interrupted run asks for nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mllm_protector.errors import OutputError
from mllm_protector.evaluation.scores import scored
from mllm_protector.testing import ScriptedDetector
from mllm_protector.types import Detection, Exchange, Query

EXCHANGES = [Exchange(Query(f"q{i}"), "harmful" if i % 3 == 0 else "fine") for i in range(10)]


class Interrupted(ScriptedDetector):
    """Is interrupted at the third batch."""

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        if len(self.calls) == 2:
            raise KeyboardInterrupt
        return super().detect(exchanges)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    cache, first, second = tmp_path / "new" / "scores.jsonl", Interrupted(), ScriptedDetector()
    with pytest.raises(KeyboardInterrupt):
        scored(first, "f", EXCHANGES, cache, batch_size=4)
    with cache.open("ab") as stream:
        stream.write(b'{"key": "cut sho')
    seen: list[int] = []
    found = scored(second, "f", EXCHANGES, cache, batch_size=4, on_progress=seen.append)
    assert second.calls == [2]
    assert seen == [8, 10]
    assert [d.harm for d in found] == [d.harm for d in ScriptedDetector().detect(EXCHANGES)]
    assert scored(second, "f", EXCHANGES, cache) == found and second.calls == [2]


def test_another_detector_is_asked_anew_and_repeats_are_asked_once(tmp_path: Path) -> None:
    cache, detector = tmp_path / "scores.jsonl", ScriptedDetector(categories={"harmful": "S1"})
    assert len(scored(detector, "a", [EXCHANGES[0]] * 5, cache)) == 5
    assert detector.calls == [1]
    assert scored(detector, "b", EXCHANGES[:1], cache)[0].categories == {"S1": 0.9}
    assert detector.calls == [1, 1]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="give another"):
        scored(ScriptedDetector(), "f", EXCHANGES, tmp_path / "file" / "scores.jsonl")
