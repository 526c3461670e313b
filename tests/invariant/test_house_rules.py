"""Rules of the house that no linter knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = sorted((ROOT / "src" / "mllm_protector").rglob("*.py"))
WEIGHTS_LIMIT = 30_000_000


@pytest.mark.parametrize("path", SOURCE, ids=[str(p.relative_to(ROOT / "src")) for p in SOURCE])
def test_a_file_can_be_read_in_one_go(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    assert text.startswith('"""'), "a module says what it is in its first line"


def test_the_embedded_model_stays_small() -> None:
    folder = ROOT / "src" / "mllm_protector" / "models" / "embedded"
    assert sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) <= WEIGHTS_LIMIT


def test_the_version_has_one_home() -> None:
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
    homes = [p for p in SOURCE if re.search(r"^__version__ =", p.read_text(), re.MULTILINE)]
    assert [p.name for p in homes] == ["__init__.py"]
