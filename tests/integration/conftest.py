"""A scripted model, and a gateway in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.front import Front
from tests.serving import Running, Upstream


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    model = Upstream()
    with Running(model.app) as server:
        model.url = server.url  # type: ignore[attr-defined]
        yield model


@pytest.fixture
def front(upstream: Upstream) -> Iterator[Front]:
    with Front(upstream) as front:
        yield front
