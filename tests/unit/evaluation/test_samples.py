"""Samples: checking, choosing, surveying."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.evaluation.sets import image

from mllm_protector.errors import ImageError
from mllm_protector.evaluation.samples import Sample, checked, query_of, select, survey


def test_duplicates_and_empty_requests_are_marked(tmp_path: Path) -> None:
    given = [Sample("a", "p"), Sample("a", "q"), Sample("b", "  "), Sample("c", "", images=(tmp_path / "x",))]
    assert [s.fault for s in checked(given)] == ["", "duplicate id", "empty request", ""]


def test_an_own_fault_is_kept() -> None:
    assert [s.fault for s in checked([Sample("a", "", fault="no text")])] == ["no text"]


def test_select() -> None:
    given = [Sample("a", "p", scenario="x"), Sample("b", "p", scenario="y", modality="SD")]
    assert [s.id for s in select(given, [], [])] == ["a", "b"]
    assert [s.id for s in select(given, ["SD"], [])] == ["b"]
    assert [s.id for s in select(given, ["SD"], ["x"])] == []


def test_a_limit_is_a_seeded_draw() -> None:
    given = [Sample(str(i), "p") for i in range(100)]
    one, same, other = (survey(given, limit=10, seed=s) for s in (1, 1, 2))
    assert one.chosen == same.chosen != other.chosen
    assert one.chosen is not None and len(one.chosen) == one.total == 10
    assert survey(given, limit=100).chosen is None


def test_the_revision_follows_texts_labels_and_image_sizes(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    base = Sample("a", "p", images=(tmp_path / "a.png",))
    first = survey([base]).revision
    assert survey([Sample("a", "q", images=base.images)]).revision != first
    assert survey([Sample("a", "p", images=base.images, label=True)]).revision != first
    (tmp_path / "a.png").write_bytes(b"longer than before" * 20)
    assert survey([base]).revision != first


def test_images_are_read_only_when_wanted(tmp_path: Path) -> None:
    sample = Sample("a", "p", images=(tmp_path / "a.png",))
    assert query_of(sample, with_images=False).images == ()
    assert sample.missing_images == (tmp_path / "a.png",)
    with pytest.raises(ImageError):
        query_of(sample, with_images=True)
    image(tmp_path / "a.png")
    assert query_of(sample, with_images=True).images[0].media_type == "image/png"
