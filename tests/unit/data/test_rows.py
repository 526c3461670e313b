"""Rows out of every format, and what is said about files that cannot be read."""

from __future__ import annotations

import gzip
import json
import lzma
from collections import Counter
from pathlib import Path

import pytest

from mllm_protector.data import load_records
from mllm_protector.data.rows import open_tables
from mllm_protector.errors import InputError, RecordError

ROWS = [{"prompt": f"p{n}", "response": "r", "harmful": bool(n % 2)} for n in range(3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def write(path: Path) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(LINES.encode()))
    elif path.suffix == ".xz":
        path.write_bytes(lzma.compress(LINES.encode()))
    elif path.suffix == ".csv":
        path.write_text("prompt,response,harmful\n" + "".join(f"p{n},r,{n % 2}\n" for n in range(3)))
    elif path.name == "list.json":
        path.write_text(json.dumps(ROWS, indent=1))
    elif path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    else:
        path.write_text(LINES)
    return path


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.xz", "a.json", "list.json", "a.csv", "a.parquet", "A.JSONL"]
)
def test_every_format_gives_the_same_records(tmp_path: Path, name: str) -> None:
    found = list(load_records(write(tmp_path / name)))
    assert [(r.prompt, r.harmful) for r in found] == [("p0", False), ("p1", True), ("p2", False)]


def test_a_folder_gives_its_files_in_order_each_by_its_own_schema(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.jsonl").write_text(json.dumps({"prompt": "x", "chosen": "y"}) + "\n")
    (tmp_path / "README.md").write_text("not data")
    assert [r.prompt for r in load_records(tmp_path)] == ["p0", "p1", "p2", "x"]


def test_the_hub_is_read_as_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the working folder is what the hub's client takes an id of that name for."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "set").mkdir(parents=True)
    write(tmp_path / "owner" / "set" / "train.jsonl")
    from mllm_protector.data.rows import _hub_rows

    assert [row for _, row in _hub_rows("owner/set", None, "train")] == ROWS
    with pytest.raises(
        InputError, match=r"owner/set cannot be loaded from the hub: .*give a downloaded file"
    ):
        list(_hub_rows("owner/set", None, "nothing"))


def test_a_hub_id_carries_configuration_and_split() -> None:
    (table,) = open_tables("allenai/wildguardmix", lambda _: "wildguardtrain")
    assert (table.name, table.hub) == ("allenai/wildguardmix", "allenai/wildguardmix")
    (table,) = open_tables("a/b:c@d", lambda _: None)
    assert table.hub == "a/b"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"x", "no known format"),
        ("a.parquet", b"x", "no parquet file"),
        ("a.jsonl.gz", b"x", "cannot be read"),
        ("a.jsonl.xz", b"x", "cannot be read"),
        ("a.json", b"[{]", "is not JSON"),
        ("a.json", b"[3]", "item 1 is no object"),
        ("a.csv", b"prompt,response,harmful\na,b\n", "row 1 has not as many cells"),
        ("a.csv", b"prompt,response,harmful\n\xff,b,1\n", "no CSV in UTF-8"),
        ("a.jsonl", b"\n{\n", "line 2: not JSON"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        list(load_records(tmp_path / name))


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.jsonl is not there; give a file, a folder, or an id"):
        list(load_records(tmp_path / "missing.jsonl"))
    with pytest.raises(InputError, match=r"data/train\.jsonl is not there"):
        list(load_records("data/train.jsonl"))
    with pytest.raises(InputError, match="holds no file of"):
        list(load_records(tmp_path))


def test_bad_rows_can_be_passed_over_and_omitted_ones_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{\n" + LINES + json.dumps(ROWS[0] | {"harmful": 7}) + "\n")
    heard: list[RecordError] = []
    assert len(list(load_records(path, on_bad=heard.append))) == 3
    assert [error.line for error in heard] == [1, 5]
    row = {"prompt": "REDACTED", "response": None, "prompt_label": "unsafe", "response_label": None,
           "violated_categories": ""}  # fmt: skip
    path.write_text(json.dumps(row) + "\n")
    omitted: Counter[str] = Counter()
    assert list(load_records(path, omitted=omitted)) == []
    assert omitted == {"redacted prompt": 1}
