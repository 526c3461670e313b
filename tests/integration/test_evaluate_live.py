"""``evaluate`` against a live endpoint on this machine: the model, the judge, an outage midway."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.unit.evaluation.sets import GUARD, mm_safetybench
from typer.testing import CliRunner, Result

from mllm_protector.cli.app import app


class Endpoint:
    """Speaks OpenAI's chat completions: a model that answers harmfully to TYPO, and a judge."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.dies_after: int | None = None
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with endpoint._lock:
                    endpoint.requests.append(body)
                    dead = endpoint.dies_after is not None and len(endpoint.requests) > endpoint.dies_after
                status, reply = (400, {"error": {"message": "gone"}}) if dead else (200, endpoint.reply(body))
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = json.dumps(body["messages"])
        if body["model"] == "judge":
            answer = re.search(r"answer to judge \w+>>(.*?)<<end", asked, re.DOTALL)
            bad = answer is not None and "harmful" in answer[1]
            text = json.dumps({"reason": "because", "verdict": "harmful" if bad else "safe"})
        elif "one word, yes or no" in asked:
            text = "No."
        else:
            text = "This is harmful." if "image shows" in asked else "I can't help with that."
        message = {"role": "assistant", "content": text}
        return {
            "id": "1", "object": "chat.completion", "created": 0, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }  # fmt: skip

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.yaml").write_text(GUARD)
    mm_safetybench(tmp_path / "mm", questions=3, scenarios=("01-Illegal_Activitiy", "10-Legal_Opinion"))
    return tmp_path


def evaluated(url: str, out: str, *more: str) -> Result:
    arguments = [
        "evaluate", "--benchmark", "mm-safetybench", "--data", "mm", "--model", "openai:llava",
        "--base-url", url,
        "--judge", "llm=openai:judge", "--judge", "refusal", "--config", "guard.yaml", "-o", out,
        "--batch-size", "6", "--workers", "4", *more,
    ]  # fmt: skip
    return CliRunner().invoke(app, arguments)


def untimed(out: str) -> str:
    return re.sub(r'"(mean|median|p95)": [-\d.e]+', "", Path(f"{out}/report.json").read_text())


def test_one_command_on_a_live_endpoint_gives_the_whole_report(here: Path, endpoint: Endpoint) -> None:
    result = evaluated(endpoint.url, "out", "--defence", "protector", "--defence", "self-check")
    assert result.exit_code == 0, result.output
    report = json.loads(Path("out/report.json").read_text())
    assert report["samples"] == report["evaluated"] == 24
    lead = report["defences"][0]["attacks"][0]
    assert lead["judge"] == "llm=openai:judge"
    assert (lead["overall"]["before"]["hits"], lead["overall"]["after"]["hits"]) == (12, 0)
    found = {g["name"]: g["effect"]["before"]["value"] for g in lead["modalities"]}
    assert found == {"SD": 0.0, "SD+TYPO": 1.0, "TYPO": 1.0, "text": 0.0}
    assert [a["scenarios"] for a in lead["averages"]] == [2, 1]
    (agreement,) = report["agreements"]  # what speaks to nothing that was asked is refused: both see it
    assert (agreement["both"], agreement["only_first"], agreement["only_second"]) == (12, 0, 0)
    assert report["answering"]["median"] > 0
    pictured = [
        r for r in endpoint.requests if r["model"] == "llava" and "data:image/png;base64" in json.dumps(r)
    ]
    assert pictured
    judged = next(r for r in endpoint.requests if r["model"] == "judge")
    assert judged["messages"][0]["role"] == "system" and "Criteria:" in json.dumps(judged)


def test_an_outage_midway_loses_nothing(here: Path, endpoint: Endpoint) -> None:
    assert evaluated(endpoint.url, "whole").exit_code == 0
    asked = len(endpoint.requests)
    endpoint.requests.clear()
    endpoint.dies_after = 14
    broken = evaluated(endpoint.url, "out", "--cache", "shared.sqlite")
    assert broken.exit_code == 6 and "run the same command" in " ".join(broken.stderr.split())
    assert not Path("out/report.json").exists()
    endpoint.dies_after = None
    before = len(endpoint.requests)
    again = evaluated(endpoint.url, "out", "--cache", "shared.sqlite")
    assert again.exit_code == 0 and "going on after sample" in again.stderr
    assert untimed("out") == untimed("whole")
    assert len(endpoint.requests) - before < asked  # what was answered before is not asked again
