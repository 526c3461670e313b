"""The benchmarks that can be loaded, by name. None of them comes with this package."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mllm_protector.errors import InputError
from mllm_protector.evaluation.benchmarks.benchmark import Benchmark, Card
from mllm_protector.evaluation.benchmarks.figstep import FigStep
from mllm_protector.evaluation.benchmarks.image_sets import MSTS, MOSSBench, VLGuard
from mllm_protector.evaluation.benchmarks.mm_safetybench import MMSafetyBench
from mllm_protector.evaluation.benchmarks.records import Records
from mllm_protector.evaluation.benchmarks.text_sets import (
    AdvBench,
    HarmBench,
    JailbreakBench,
    StrongReject,
    XSTest,
)
from mllm_protector.evaluation.benchmarks.utility_sets import VQA, MMVet
from mllm_protector.suggest import nearest

__all__ = ["BENCHMARKS", "Benchmark", "Card", "benchmark"]

_ALL: tuple[Benchmark, ...] = (
    MMSafetyBench(), FigStep(), MSTS(), VLGuard(), MOSSBench(), XSTest(), HarmBench(), JailbreakBench(),
    StrongReject(), AdvBench(), MMVet(), VQA(), Records(),
)  # fmt: skip

BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType({b.card.name: b for b in _ALL})
"""Name -> loader."""


def benchmark(name: str) -> Benchmark:
    """Return the loader called ``name``.

    Raises:
        InputError: there is none.
    """
    if name not in BENCHMARKS:
        raise InputError(f"unknown benchmark {name!r}{nearest(name, BENCHMARKS)}")
    return BENCHMARKS[name]
