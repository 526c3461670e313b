"""The command line over files: what is written, what is refused, what is said."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mllm_protector import Protector, load_policy
from mllm_protector.cli.app import app
from mllm_protector.testing import ScriptedDetector

_GUARD = """
detector: {name: "mllm_protector.testing:ScriptedDetector", options: {categories: {harmful: S2}}}
detoxifiers: [{name: "mllm_protector.testing:ScriptedDetoxifier"}]
"""
_PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1, 1)
_EXAMPLES = Path(__file__).parents[2] / "examples" / "exchanges.jsonl"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a scripted guard in ``guard.yaml``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.yaml").write_text(_GUARD)
    return tmp_path


def call(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", "guard.yaml"], input=stdin)


def line(response: object = "fine", **keys: object) -> bytes:
    return json.dumps({"prompt": "p", "response": response, **keys}).encode() + b"\n"


def rows(data: bytes | Path) -> list[dict[str, Any]]:
    if isinstance(data, Path):
        data = data.read_bytes()
    return [json.loads(row) for row in data.splitlines()]


def test_check_adds_its_keys_and_keeps_all_others(here: Path) -> None:
    given = b'{"id":1.50, "response": "harmful", "prompt":"", "x":{"y":[null,"\\ud800"]}}\r\n\r\n' + line()
    (here / "in.jsonl").write_bytes(given)
    result = call("check", "in.jsonl")
    assert result.exit_code == 0
    first = result.stdout_bytes.splitlines()[0]
    assert first.startswith(
        b'{"id":1.50, "response": "harmful", "prompt":"", "x":{"y":[null,"\\ud800"]}, "detection": {'
    )
    assert [row["flagged"] for row in rows(result.stdout_bytes)] == [True, False]
    assert "2 exchanges: 1 flagged, 1 not flagged" in result.stderr


def test_protect_writes_a_file_that_is_complete(here: Path) -> None:
    (here / "in.jsonl").write_bytes(
        b"".join(line("harmful" if i % 3 == 0 else f"fine {i}") for i in range(100))
    )
    result = call("protect", "in.jsonl", "-o", "out.jsonl", "--batch-size", "7")
    assert (result.exit_code, result.stdout) == (0, "")
    written = rows(here / "out.jsonl")
    assert len(written) == 100
    for i, row in enumerate(written):
        harmful = i % 3 == 0
        assert row["protection"]["action"] == ("detoxify" if harmful else "allow")
        assert row["protection"]["response"] == ("Here is a safe answer." if harmful else row["response"])
    assert "34 detoxify" in result.stderr
    assert sorted(p.name for p in here.iterdir()) == ["guard.yaml", "in.jsonl", "out.jsonl"]


def test_protect_takes_what_check_wrote(here: Path) -> None:
    (here / "in.jsonl").write_bytes(line("harmful"))
    call("check", "in.jsonl", "-o", "checked.jsonl")
    assert call("protect", "checked.jsonl", "-o", "safe.jsonl").exit_code == 0
    assert list(rows(here / "safe.jsonl")[0]) == ["prompt", "response", "detection", "flagged", "protection"]
    again = call("protect", "safe.jsonl")
    assert (again.exit_code, '"protection" is there already' in again.stderr) == (3, True)


def test_standard_input_to_standard_output(here: Path) -> None:
    result = call("check", "-", "--quiet", stdin=line("harmful") + line())
    assert [row["flagged"] for row in rows(result.stdout_bytes)] == [True, False]
    assert result.stderr == ""


def test_standard_input_to_a_file_says_that_it_cannot_be_resumed(here: Path) -> None:
    result = call("check", "-", "-o", "out.jsonl", stdin=line())
    assert "cannot be resumed" in result.stderr
    assert len(rows(here / "out.jsonl")) == 1
    failed = call("check", "-", "-o", "other.jsonl", stdin=line() + b"[]\n")
    assert failed.exit_code == 3
    assert sorted(p.name for p in here.iterdir()) == ["guard.yaml", "out.jsonl"]


BAD = [
    (b"[]\n", "a list, not an object"),
    (b"hello\n", "not JSON"),
    (b'{"prompt": "p"}\n', '"response" is missing'),
    (b'{"response": "r"}\n', '"prompt" is missing'),
    (line(3), '"response" is a number'),
    (line(images=["absent.png"]), "is not there"),
    (line(images=["data:image/png;base64,@"]), "not valid base64"),
    (line(images=["guard.yaml"]), "not an image"),
    (line(flagged=True), '"flagged" is there already'),
    (b'{"prompt": "\xff", "response": "r"}\n', "not UTF-8"),
    (b'{"prompt": "p", "response": "r", "x": NaN}\n', "NaN"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_a_bad_line_stops_the_run_with_its_number(here: Path, bad: bytes, message: str) -> None:
    (here / "in.jsonl").write_bytes(line() + b"\n" + bad + line())
    result = call("check", "in.jsonl", "-o", "out.jsonl")
    assert result.exit_code == 3
    assert result.stderr.startswith("error: line 3: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (here / "out.jsonl").exists()


def test_bad_lines_are_skipped_when_asked_but_never_silently(here: Path) -> None:
    (here / "in.jsonl").write_bytes(b"".join(line() + bad for bad, _ in BAD))
    result = call("check", "in.jsonl", "-o", "out.jsonl", "--on-bad-line", "skip")
    assert result.exit_code == 9
    assert len(rows(here / "out.jsonl")) == len(BAD)
    for number, (_, message) in enumerate(BAD, start=1):
        said = next(text for text in result.stderr.splitlines() if f"skipped: line {2 * number}:" in text)
        assert message in said
    assert f"{len(BAD)} bad lines skipped" in result.stderr


def test_a_flag_outranks_skipped_lines(here: Path) -> None:
    (here / "in.jsonl").write_bytes(b"[]\n" + line("harmful"))
    assert call("check", "in.jsonl", "--on-bad-line", "skip", "--fail-on-flag").exit_code == 10


def test_image_paths_are_relative_to_the_file(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "a.png").write_bytes(_PNG)
    (here / "sub" / "in.jsonl").write_bytes(line(images=["a.png"]) * 3)
    result = call("check", "sub/in.jsonl")
    assert result.exit_code == 0
    assert result.stderr.count("images were not read") == 1


def test_a_response_of_ten_megabytes_and_a_hundred_thousand_lines(here: Path) -> None:
    (here / "in.jsonl").write_bytes(line("fine " * 2_000_000) + line("a\n" * 100_000))
    result = call("protect", "in.jsonl")
    assert result.exit_code == 0
    assert [row["protection"]["response"] == row["response"] for row in rows(result.stdout_bytes)] == [
        True,
        True,
    ]


def test_what_is_there_is_not_overwritten_by_accident(here: Path) -> None:
    (here / "in.jsonl").write_bytes(line())
    (here / "out.jsonl").write_text("precious")
    refused = call("check", "in.jsonl", "-o", "out.jsonl")
    assert (refused.exit_code, "--overwrite" in refused.stderr) == (8, True)
    assert (here / "out.jsonl").read_text() == "precious"
    assert call("check", "in.jsonl", "-o", "out.jsonl", "--overwrite").exit_code == 0
    itself = call("check", "in.jsonl", "-o", "./in.jsonl", "--overwrite")
    assert (itself.exit_code, "is the input itself" in itself.stderr) == (8, True)
    assert (here / "in.jsonl").read_bytes() == line()


@pytest.mark.parametrize(("out", "message"), [("absent/out.jsonl", "is not there"), (".", "is a folder")])
def test_where_nothing_can_be_written(here: Path, out: str, message: str) -> None:
    (here / "in.jsonl").write_bytes(line())
    result = call("check", "in.jsonl", "-o", out)
    assert result.exit_code == 8
    assert message in result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["in.jsonl"], ["--response", "fine", "--json"]])
def test_a_full_device(here: Path, arguments: list[str]) -> None:
    (here / "in.jsonl").write_bytes(line())
    result = call("check", *arguments, "-o", "/dev/full")
    assert result.exit_code == 8
    assert "the disk is full" in result.stderr


def test_ctrl_c_says_how_to_go_on_and_another_policy_does_not(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "in.jsonl").write_bytes(b"".join(line(f"r{i}") for i in range(20)))
    original = ScriptedDetector.detect

    def interrupted(self: ScriptedDetector, exchanges: Any) -> Any:
        if any(exchange.response == "r13" for exchange in exchanges):
            raise KeyboardInterrupt
        return original(self, exchanges)

    command = ["check", "in.jsonl", "-o", "out.jsonl", "--batch-size", "2"]
    with monkeypatch.context() as patched:
        patched.setattr(ScriptedDetector, "detect", interrupted)
        result = call(*command)
    assert result.exit_code == 130
    assert "interrupted after line 12; run the same command again to go on" in result.stderr
    other = call(*command, "--policy", "strict")
    assert (other.exit_code, "another policy" in other.stderr) == (8, True)
    resumed = call(*command)
    assert resumed.exit_code == 0
    assert "going on after line 12" in resumed.stderr
    assert [row["response"] for row in rows(here / "out.jsonl")] == [f"r{i}" for i in range(20)]


def test_the_table_shows_what_was_done(here: Path) -> None:
    long = "These words are the same in both texts and fill the line. "
    (here / "in.jsonl").write_bytes(line("fine", id="first") + line(long + "harmful", id="second"))
    result = call("protect", "in.jsonl", "-o", "out.jsonl", "--table")
    assert result.exit_code == 0
    for part in (
        "first",
        "allow",
        "second",
        "detoxify",
        "0.90 → 0.01",
        "S2 Non-violent crimes",
        "Here is a safe",
    ):
        assert part in result.stdout
    assert call("protect", "in.jsonl", "--table").exit_code == 2


def test_a_progress_bar_is_for_terminals_only(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mllm_protector.cli.jobs import _Console
    from mllm_protector.cli.session import MediaNote
    from mllm_protector.data.sinks import Progress
    from mllm_protector.data.source import Position

    (here / "in.jsonl").write_bytes(line() * 3)
    assert "\x1b" not in call("check", "in.jsonl").stderr

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    guard = Protector(ScriptedDetector(), load_policy("default"))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    console = _Console(MediaNote(guard), quiet=False)
    console.started(Progress(), size=10)
    console.advanced(Progress(Position(3, 5)))
    console.close()
    assert "3 lines" in terminal.getvalue()
    assert "50 %" in terminal.getvalue()


def test_the_examples_are_records(here: Path) -> None:
    result = call("protect", str(_EXAMPLES))
    assert result.exit_code == 0
    written = rows(result.stdout_bytes)
    assert 14 <= len(written) <= 20
    assert len({row["id"] for row in written}) == len(written)
    assert all(row["note"] for row in written)
