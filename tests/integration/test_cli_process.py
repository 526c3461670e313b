"""The command line as a process of its own: killed, interrupted, piped, and started cold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

_SLOW = '''
import time
from mllm_protector.testing import ScriptedDetector

class Slow(ScriptedDetector):
    """Takes its time over every batch."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        self.pause = pause

    def detect(self, exchanges, /):
        time.sleep(self.pause)
        return super().detect(exchanges)
'''
_COUNT = 320
_COMMAND = [sys.executable, "-m", "mllm_protector"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with an input, a slow guard and a fast one."""
    (tmp_path / "slow_detector.py").write_text(_SLOW)
    rows = [{"prompt": "p", "response": f"harmful {i}" if i % 5 == 0 else f"fine {i}"} for i in range(_COUNT)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_guard(tmp_path, pause=0.05)
    return tmp_path


def write_guard(folder: Path, pause: float) -> None:
    (folder / "guard.yaml").write_text(
        f'detector: {{name: "slow_detector:Slow", options: {{pause: {pause}}}}}\n'
        'detoxifiers: [{name: "mllm_protector.testing:ScriptedDetoxifier"}]\n'
    )


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "default"}


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*_COMMAND, *arguments, "--config", "guard.yaml"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


_PROTECT = ("protect", "in.jsonl", "-o", "out.jsonl", "--batch-size", "8")


def wait_for_journal(folder: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not (folder / "out.jsonl.state").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "no journal was written"
        time.sleep(0.005)


def finish(folder: Path) -> bytes:
    process = start(folder, *_PROTECT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return err


def check_output(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_bytes().splitlines()]
    assert [int(row["response"].split()[1]) for row in rows] == list(range(_COUNT))
    assert all((row["protection"]["action"] == "detoxify") is ("harmful" in row["response"]) for row in rows)
    assert not list(folder.glob("out.jsonl.*"))


def test_a_run_killed_again_and_again_loses_and_repeats_nothing(here: Path) -> None:
    for _ in range(2):
        process = start(here, *_PROTECT)
        wait_for_journal(here, process)
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert not (here / "out.jsonl").exists()
    assert b"going on after line" in finish(here)
    check_output(here)


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(here: Path) -> None:
    process = start(here, *_PROTECT)
    wait_for_journal(here, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert b"run the same command again to go on" in err
    assert b"Traceback" not in err
    assert b"going on after line" in finish(here)
    check_output(here)


def test_a_reader_that_goes_away_is_no_error(here: Path) -> None:
    write_guard(here, pause=0.001)
    process = start(here, "check", "in.jsonl", "--batch-size", "1", "--quiet")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["flagged"] is True
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
    process.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments", [["in.jsonl"], ["--response", "fine"], ["--response", "fine", "--json"]]
)
def test_a_full_standard_output_is_one_line(here: Path, arguments: list[str]) -> None:
    write_guard(here, pause=0.0)
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [*_COMMAND, "check", *arguments, "--config", "guard.yaml"],
            cwd=here,
            env=environment(here),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert process.returncode == 8
    assert process.stderr.startswith(b"error: standard output cannot be written")
    assert process.stderr.count(b"\n") == 1


def test_help_and_version_load_no_model() -> None:
    code = (
        "import sys\n"
        "from mllm_protector.cli import main\n"
        "sys.argv = ['mllm-protector', '--version']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'onnxruntime', 'tokenizers', 'numpy', 'pydantic', 're2', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith(b"mllm-protector ")
