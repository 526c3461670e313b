"""Labelled rows: what is read of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mllm_protector.errors import InputError
from mllm_protector.evaluation.labelled import read_labelled


def write(folder: Path, *lines: str) -> Path:
    path = folder / "dev.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_keys_and_defaults(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"prompt": "p", "response": "r", "harmful": 1, "category": "S2", "source": "s", "image_text": "i"}',
        '{"prompt": "p", "response": "r", "harmful": false, "category": "S2", "label_by": "human"}',
        "",
        '{"prompt": "p", "response": "r", "harmful": 1, "categories": ["S1", "MIS"]}',
        '{"prompt": "p", "response": "r", "harmful": 1}',
    )
    first, second, third, fourth = read_labelled([path])
    assert (first.source, first.categories, first.group) == ("s", frozenset({"S2"}), "p\x1fi")
    assert (second.harmful, second.source, second.categories) == (False, "dev", frozenset())
    assert third.categories == frozenset({"S1"})
    assert fourth.categories is None
    assert not any(row.ordinary for row in (first, second, third, fourth))


def test_ordinary_answers_need_no_label(tmp_path: Path) -> None:
    (row,) = read_labelled([], [write(tmp_path, '{"prompt": "p", "response": "r"}')])
    assert (row.harmful, row.ordinary) == (False, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "p", "response": "r"}', '"harmful" must be 0 or 1, got None'),
        ('{"prompt": "p", "response": "r", "harmful": 2}', "got 2"),
        ('{"prompt": "p", "response": "r", "harmful": "yes"}', "got 'yes'"),
        ('{"prompt": "p", "harmful": 1}', '"response" is missing'),
        ('{"prompt": "p", "response": "r", "harmful": 1, "category": 3}', "must be a list of texts"),
        ("[1]", "not an object"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, line)
    with pytest.raises(InputError) as raised:
        read_labelled([path])
    assert message in str(raised.value) and "line 1" in str(raised.value) and "dev.jsonl" in str(raised.value)


def test_a_harmful_answer_is_not_ordinary(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ordinary answer is labelled harmful"):
        read_labelled([], [write(tmp_path, '{"prompt": "p", "response": "r", "harmful": 1}')])


def test_files_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no rows"):
        read_labelled([write(tmp_path, "")])
    with pytest.raises(InputError, match="cannot be read"):
        read_labelled([tmp_path / "none.jsonl"])
