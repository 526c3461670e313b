"""The package's face: what it offers, and what importing it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import mllm_protector

HEAVY = (
    "torch",
    "transformers",
    "onnxruntime",
    "numpy",
    "tokenizers",
    "pydantic",
    "yaml",
    "typer",
    "rich",
    "re2",
)


def test_every_public_name_is_there() -> None:
    assert mllm_protector.__all__ == sorted(mllm_protector.__all__)
    for name in mllm_protector.__all__:
        assert getattr(mllm_protector, name) is not None
    assert dir(mllm_protector) == mllm_protector.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(mllm_protector, "protekt")


def test_importing_the_package_is_cheap_and_loads_nothing_heavy() -> None:
    code = (
        "import json, sys, time\n"
        "started = time.perf_counter()\n"
        "import mllm_protector\n"
        "took = time.perf_counter() - started\n"
        f"print(json.dumps([took, [m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    runs = [json.loads(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3)]
    assert runs[0][1] == []
    assert min(took for took, _ in runs) < 0.150
