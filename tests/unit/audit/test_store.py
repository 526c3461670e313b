"""The audit file: durable, private, labelled by reviewers, exported as training records."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mllm_protector.audit import AuditStore, Label, TextKept, Verdict
from mllm_protector.audit.export import training_records
from mllm_protector.audit.redaction import redact
from mllm_protector.cli.app import app
from mllm_protector.errors import InputError, OutputError
from mllm_protector.types import Action, Detection, Exchange, Protection, Query


def verdict(response: str = "A text.", action: Action = Action.ALLOW, request_id: str = "r1") -> Verdict:
    exchange = Exchange(Query("How?"), response)
    return Verdict(request_id, Protection(exchange, action, "Out.", Detection(0.9, {"S2": 0.8}), policy="p"))


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    with AuditStore(tmp_path / "a.db", text="full", clock=lambda: 5.0) as store:
        assert store.record([verdict(), verdict("Two.", Action.REFUSE)]) == [1, 2]
        second, first = store.entries()
        assert (first.response, second.response, second.action, first.at) == (
            "A text.",
            "Two.",
            "refuse",
            5.0,
        )
        assert first.categories == {"S2": 0.8} and store.entry(2) == second
        assert [e.id for e in store.entries(action="refuse")] == [2]
        with pytest.raises(InputError):
            store.entry(9)


@pytest.mark.parametrize(("kept", "shown"), [("none", None), ("hash", "sha256:"), ("full", "A text.")])
def test_text_is_kept_as_the_configuration_says(tmp_path: Path, kept: str, shown: str | None) -> None:
    with AuditStore(tmp_path / "a.db", text=kept) as store:
        store.record([verdict(), verdict()])
        one, two = store.entries()
    assert one.response == two.response
    assert one.response is None if shown is None else str(one.response).startswith(shown)
    data = (tmp_path / "a.db").read_bytes() + b"".join(p.read_bytes() for p in tmp_path.glob("a.db-*"))
    assert (b"A text." in data) is (kept == "full")
    assert os.stat(tmp_path / "a.db").st_mode & 0o077 == 0


def test_keys_never_get_in(tmp_path: Path) -> None:
    key = "sk-" + "a1B2c3D4" * 4
    with AuditStore(tmp_path / "a.db", text="full") as store:
        store.record([verdict(f"Use {key} and Authorization: Bearer {'x' * 30}", request_id=key)])
    data = b"".join(p.read_bytes() for p in tmp_path.glob("a.db*"))
    assert key.encode() not in data and b"x" * 30 not in data and b"[key]" in data
    assert redact("nothing to hide") == "nothing to hide"


def test_an_acknowledged_verdict_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import sys\nsys.path[:0] = sys.argv[2:]\n"
        "from unit_verdict import verdict\nfrom mllm_protector.audit import AuditStore\n"
        "store = AuditStore(sys.argv[1])\n"
        "while True:\n    print(store.record([verdict()])[0], flush=True)\n"
    )
    (tmp_path / "unit_verdict.py").write_text(
        "from mllm_protector.audit import Verdict\nfrom mllm_protector.types import *\n"
        "def verdict():\n    e = Exchange(Query('How?'), 'A text.')\n"
        "    return Verdict('r', Protection(e, Action.ALLOW, 'A text.', Detection(0.1)))\n"
    )
    path = tmp_path / "a.db"
    command = [sys.executable, "-c", program, str(path), str(tmp_path), *sys.path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        last = process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    rest = process.stdout.read().split()
    process.stdout.close()
    acknowledged = int(rest[-1] if rest else last)
    with AuditStore(path, create=False) as store:
        assert store.entries(limit=1)[0].id >= acknowledged


def test_threads_write_together(tmp_path: Path) -> None:
    with AuditStore(tmp_path / "a.db") as store:
        threads = [
            threading.Thread(target=lambda: [store.record([verdict()]) for _ in range(10)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.entries()) == 80


def test_old_verdicts_go(tmp_path: Path) -> None:
    now = [0.0]
    with AuditStore(tmp_path / "a.db", retention_days=1, clock=lambda: now[0]) as store:
        store.record([verdict()])
        now[0] = 2 * 86_400.0
        store.record([verdict()])
        assert [e.id for e in store.entries()] == [2]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no audit file"):
        AuditStore(tmp_path / "none.db", create=False)
    (tmp_path / "text.db").write_text("no database at all " * 100)
    with pytest.raises(OutputError, match="cannot be used"):
        AuditStore(tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(OutputError, match="version 99"):
        AuditStore(tmp_path / "other.db")
    with pytest.raises(InputError, match="none, hash, full"):
        AuditStore(tmp_path / "a.db", text="some")


def test_labels_become_training_records(tmp_path: Path) -> None:
    with AuditStore(tmp_path / "a.db", text=TextKept.FULL) as store:
        store.record(
            [
                verdict("Alarm.", Action.REFUSE),
                verdict("Missed."),
                verdict("Right.", Action.REFUSE),
                verdict(),
            ]
        )
        store.label(1, Label.FALSE_ALARM, "a recipe")
        store.label(2, Label.MISS)
        store.label(3, Label.CORRECT)
        found = list(training_records(store.entries(labelled=True, newest_first=False)))
    assert [(r["response"], r["harmful"]) for r in found] == [
        ("Alarm.", False),
        ("Missed.", True),
        ("Right.", True),
    ]


def test_the_command(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    with AuditStore(path, text="full") as store:
        store.record([verdict("Some words.", Action.REFUSE), verdict()])

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["audit", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    assert run("list", path).count("\n") == 2 and "refuse" in run("list", path, "--action", "refuse")
    assert "response: Some words." in run("show", path, "1")
    assert "1: false-alarm" in run("label", path, "1", "false-alarm", "--note", "fine")
    out = str(tmp_path / "records.jsonl")
    assert "1 records" in run("export", path, "-o", out)
    assert "exists" in run("export", path, "-o", out, code=3)
    assert "no audit file" in run("list", str(tmp_path / "none.db"), code=3)
