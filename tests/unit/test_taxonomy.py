"""Every label of every set maps onto codes that exist."""

from __future__ import annotations

import pytest

from mllm_protector.errors import InputError
from mllm_protector.taxonomy import ADVICE, CATEGORIES, HAZARDS, LABEL_SETS, map_label


def test_the_native_taxonomy() -> None:
    assert [c.code for c in HAZARDS] == [f"S{i}" for i in range(1, 15)]
    assert len(ADVICE) == 5
    assert len(CATEGORIES) == 19


@pytest.mark.parametrize("label_set", LABEL_SETS)
def test_labels_map_onto_native_codes(label_set: str) -> None:
    for label, codes in LABEL_SETS[label_set].items():
        assert map_label(label_set, label) == codes
        assert set(codes) <= set(CATEGORIES)


@pytest.mark.parametrize(
    ("label_set", "count"),
    [
        ("beavertails", 14),
        ("mm-safetybench", 13),
        ("llama-guard", 15),
        ("wildguard", 15),
        ("pku-saferlhf", 19),
    ],
)
def test_sets_are_whole(label_set: str, count: int) -> None:
    assert len(LABEL_SETS[label_set]) == count


def test_unknown_labels_are_not_mapped_silently() -> None:
    with pytest.raises(InputError, match="did you mean 'privacy_violation'"):
        map_label("beavertails", "privacy_violations")
    with pytest.raises(InputError, match="did you mean 'wildguard'"):
        map_label("wild-guard", "benign")
