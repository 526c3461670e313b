"""The command line with one exchange, and the commands that need none."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mllm_protector import __version__
from mllm_protector.cli.app import app

_GUARD = """
detector: {name: "mllm_protector.testing:ScriptedDetector", options: {categories: {harmful: S2}}}
detoxifiers: [{name: "mllm_protector.testing:ScriptedDetoxifier"}]
"""
_BROKEN = 'detector: {name: "mllm_protector.testing:FailingBackend"}\ndetoxifiers: []\n'
_PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1, 1)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a scripted guard in ``guard.yaml``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.yaml").write_text(_GUARD)
    (tmp_path / "broken.yaml").write_text(_BROKEN)
    (tmp_path / "a.png").write_bytes(_PNG)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def guarded(*arguments: str) -> Result:
    return call(*arguments, "--config", "guard.yaml")


def test_check_says_how_harmful_and_why(here: Path) -> None:
    result = guarded("check", "--prompt", "p", "--response", "Fine. This is harmful.")
    assert result.exit_code == 0
    assert "flagged (detoxify)  harm 0.90" in result.stdout
    assert "S2 Non-violent crimes 0.90" in result.stdout
    assert "[6, 22) harm 0.90  This is harmful." in result.stdout


def test_check_json_is_the_line_a_file_would_give(here: Path) -> None:
    result = guarded(
        "check", "--prompt", "p", "--response", "This is harmful.", "--json", "--image-text", "t"
    )
    assert json.loads(result.stdout) == {
        "prompt": "p",
        "response": "This is harmful.",
        "image_text": "t",
        "detection": {
            "harm": 0.9,
            "categories": {"S2": 0.9},
            "spans": [{"start": 0, "end": 16, "harm": 0.9}],
        },
        "flagged": True,
    }


@pytest.mark.parametrize(("response", "code"), [("harmful", 10), ("fine", 0)])
def test_fail_on_flag_is_an_exit_code(here: Path, response: str, code: int) -> None:
    assert guarded("check", "--response", response, "--fail-on-flag").exit_code == code


def test_protect_delivers_on_stdout_and_tells_on_stderr(here: Path) -> None:
    benign = guarded("protect", "--prompt", "p", "--response", "Zwei  Katzen\n")
    assert (benign.exit_code, benign.stdout_bytes) == (0, b"Zwei  Katzen\n\n")
    harmful = guarded("protect", "--prompt", "p", "--response", "harmful")
    assert harmful.stdout == "Here is a safe answer.\n"
    assert "detoxify; harm 0.90 -> 0.01" in harmful.stderr


def test_protect_json_and_output_file_agree(here: Path) -> None:
    printed = guarded("protect", "--response", "harmful", "--json")
    guarded("protect", "--response", "harmful", "-o", "one.jsonl")
    assert printed.stdout_bytes == (here / "one.jsonl").read_bytes()
    protection = json.loads(printed.stdout)["protection"]
    assert list(protection) == [
        "action", "response", "harm", "recheck", "categories", "attempts", "detoxifier", "error",
            "third_party_instruction",
    ]  # fmt: skip
    assert protection["action"] == "detoxify"


def test_an_empty_response_is_delivered_as_it_is(here: Path) -> None:
    result = guarded("protect", "--prompt", "p", "--response", " ", "--json")
    assert json.loads(result.stdout)["protection"]["action"] == "allow"


def test_bytes_of_an_argument_that_are_no_text_come_back_as_they_were(here: Path) -> None:
    assert guarded("protect", "--response", "caf\udce9").stdout_bytes == b"caf\xe9\n"
    assert json.loads(guarded("check", "--response", "caf\udce9", "--json").stdout)["response"] == "caf\udce9"


def test_images_that_nothing_reads_are_said_once(here: Path) -> None:
    result = guarded("check", "--response", "fine", "--image", "a.png", "--image", "a.png")
    assert result.exit_code == 0
    assert result.stderr.count("images were not read") == 1
    read = guarded("check", "--response", "fine", "--image", "a.png", "--image-text", "a cat")
    assert "not read" not in read.stderr


def test_a_response_cannot_steer_the_terminal(here: Path) -> None:
    result = guarded("check", "--response", "harmful \x1b[2J\u202e")
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


@pytest.mark.parametrize("command", ["check", "protect", "explain"])
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give --prompt and --response"),
        (["file.jsonl", "--response", "r"], 2, "not both"),
        (["file.jsonl", "--image", "a.png"], 2, "not both"),
        (["--response", "r", "--threads", "0"], 2, "--threads"),
        (["--response", "r", "--nonsense"], 2, "--nonsense"),
        (["--response", "r", "--image", "absent.png"], 3, "is not there"),
        (["--response", "r", "--image", "guard.yaml"], 3, "not an image"),
        (["--response", "r", "--image", "https://example.org/a.png"], 3, "web address"),
        (["--response", "r", "--policy", "defualt"], 4, "did you mean 'default'"),
        (["--response", "r", "--config", "absent.yaml"], 4, "no configuration file"),
        (["absent.jsonl"], 3, "is not there"),
        (["."], 3, "is a folder"),
    ],
)
def test_a_mistake_is_one_line_and_a_code(
    here: Path, command: str, arguments: list[str], code: int, message: str
) -> None:
    if "--config" not in arguments:
        arguments = [*arguments, "--config", "guard.yaml"]
    result = call(command, *arguments)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())
    if code != 2:
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_broken_back_end_is_an_error_of_check_and_a_refusal_of_protect(here: Path) -> None:
    checked = call("check", "--response", "r", "--config", "broken.yaml")
    assert checked.exit_code == 6
    assert "scripted failure" in checked.stderr
    protected = call("protect", "--response", "r", "--config", "broken.yaml", "--json")
    assert protected.exit_code == 0
    protection = json.loads(protected.stdout)["protection"]
    assert (protection["action"], protection["harm"]) == ("refuse", None)
    assert "scripted failure" in protection["error"]


def test_a_traceback_is_shown_only_when_asked_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLLM_PROTECTOR_DEBUG", "1")
    result = call("policy", "show", "nope")
    assert type(result.exception).__name__ == "PolicyError"


def test_explain_shows_sentences_categories_decision_and_text(here: Path) -> None:
    result = guarded("explain", "--prompt", "What now?", "--response", "Fine. This is harmful.")
    assert result.exit_code == 0
    text = result.stdout
    for part in (
        "What now?",
        "0.01  Fine.",
        "0.90  This is harmful.",
        "S2 Non-violent crimes",
        "Policy default: detoxify",
        "harm 0.90 >= 0.50",
        "Here is a safe answer.",
    ):
        assert part in text


def test_explain_takes_a_line_of_a_file(here: Path) -> None:
    (here / "in.jsonl").write_text(
        '\n{"prompt": "p", "response": "first"}\n{"prompt": "p", "response": "last"}'
    )
    assert "last" in guarded("explain", "in.jsonl", "--line", "3").stdout
    missing = guarded("explain", "in.jsonl", "--line", "4")
    assert (missing.exit_code, "has no line 4" in missing.stderr) == (3, True)


def test_explain_copes_with_a_flood_of_sentences(here: Path) -> None:
    result = guarded("explain", "--response", "a.\n" * 3000)
    assert result.exit_code == 0
    assert "more sentences" in result.stdout


def test_policies_are_listed_shown_and_checked(here: Path) -> None:
    names = [line.split()[0] for line in call("policy", "list").stdout.splitlines()]
    assert {"default", "strict", "permissive", "medical-assistant", "children"} <= set(names)
    assert {p["name"] for p in json.loads(call("policy", "list", "--json").stdout)} == set(names)
    (here / "own.yaml").write_text(call("policy", "show", "strict").stdout)
    assert "valid" in call("policy", "validate", "own.yaml").stdout
    (here / "bad.yaml").write_text("treshold: 0.5\n")
    bad = call("policy", "validate", "own.yaml", "bad.yaml")
    assert bad.exit_code == 4
    assert "did you mean 'threshold'" in bad.stderr
    assert json.loads(call("policy", "schema").stdout)["type"] == "object"


def test_the_version_and_the_help() -> None:
    assert call("--version").stdout == f"mllm-protector {__version__}\n"
    helped = call("-h")
    assert helped.exit_code == 0
    for name in ("check", "protect", "explain", "policy", "model"):
        assert name in helped.stdout
        assert call(name, "-h").exit_code == 0
    assert "130 interrupted" in " ".join(helped.stdout.split())


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    result = call("protct")
    assert result.exit_code == 2
    assert "did you mean 'protect'" in result.stderr
