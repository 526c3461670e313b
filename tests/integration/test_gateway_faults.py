"""Faults that need real sockets, processes and signals: ``serve`` itself, in front of bad company."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.responses import StreamingResponse
from tests.serving import Running, Upstream, chunk, completion

from mllm_protector import Protector
from mllm_protector.audit import AuditStore
from mllm_protector.gateway.app import create_app
from mllm_protector.gateway.settings import gateway_settings
from mllm_protector.policies import load_policy
from mllm_protector.testing import ScriptedDetector, ScriptedDetoxifier

JSON = {"content-type": "application/json"}
MESSAGES = [{"role": "user", "content": "How do I water a fern?"}]
LONG = "A plain sentence that says little about ferns and pots. " * 40


def gateway(url: str, policy: str = "default", **section: Any) -> Running:
    guard = Protector(ScriptedDetector(), load_policy(policy), {"scripted": ScriptedDetoxifier()})
    settings = gateway_settings({"upstream": url, **section})
    return Running(create_app(guard, settings, source=policy))


def ask(url: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/chat/completions", json={"messages": MESSAGES, **body}, timeout=30)


class Serve:
    """``mllm-protector serve``, the command, in a process of its own."""

    def __init__(self, folder: Path, upstream: str, *options: str, **section: Any) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "serve.log"
        config = folder / "gateway.yaml"
        config.write_text(yaml.safe_dump({"gateway": {"upstream": upstream, **section}}))
        command = [
            sys.executable,
            "-m",
            "mllm_protector",
            "serve",
            "--threads",
            "1",
            "--port",
            str(self.port),
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen([*command, "--config", str(config), *options], stderr=log)

    def __enter__(self) -> Serve:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return self
            time.sleep(0.05)
        raise AssertionError(f"serve did not come up:\n{self.log.read_text()}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()


# -- clients ----------------------------------------------------------------------------------------


def test_a_client_that_trickles_is_let_go_and_the_others_are_served(
    upstream: Upstream, tmp_path: Path
) -> None:
    limits = {"body_seconds": 1, "concurrent": 4}
    with Serve(tmp_path, upstream.url, timeouts={"idle": 1}, limits=limits) as serve:  # type: ignore[attr-defined]
        head = socket.create_connection(("127.0.0.1", serve.port))
        body = socket.create_connection(("127.0.0.1", serve.port))
        body.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: 1000\r\n\r\n{"
        )
        crowd = [socket.create_connection(("127.0.0.1", serve.port)) for _ in range(100)]
        began = time.monotonic()
        assert ask(serve.url).status_code == 200
        with pytest.raises(OSError):  # noqa: PT012 (which of the sends fails is the network's choice)
            for letter in b"POST /v1/chat/completions HTTP/1.1\r\nhost: " + b"x" * 500:
                head.sendall(bytes([letter]))
                time.sleep(0.05)
        assert time.monotonic() - began < 15
        body.settimeout(10)
        assert body.recv(100).startswith(b"HTTP/1.1 408")
        crowd[0].settimeout(10)
        assert crowd[0].recv(10) == b"", "a silent connection is closed too"
        assert ask(serve.url).status_code == 200
        for connection in (head, body, *crowd):
            connection.close()


def test_a_thousand_images(upstream: Upstream) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with gateway(upstream.url) as server:  # type: ignore[attr-defined]
        reply = ask(server.url, messages=[{"role": "user", "content": [image] * 1000}])
        assert reply.status_code == 422 and "at most 32" in reply.text and not upstream.requests


def test_a_body_of_100_mb(upstream: Upstream) -> None:
    with gateway(upstream.url) as server:  # type: ignore[attr-defined]
        port = int(server.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.settimeout(20)
            client.sendall(
                b"POST /v1/protect HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"content-length: 100000000\r\n\r\n"
            )
            assert client.recv(100).startswith(b"HTTP/1.1 413")
        assert ask(server.url).status_code == 200


# -- upstreams --------------------------------------------------------------------------------------


class Raw:
    """An upstream on a bare socket: reads a request, sends what it is told to, and resets the connection."""

    def __init__(self, answer: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.recv(100_000)
            connection.sendall(self._answer)
            time.sleep(0.2)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()  # a reset, not an end

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_an_upstream_that_resets_midway() -> None:
    event = chunk({"content": "This secret "})
    stream = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n"
    with Raw(stream + b"%x\r\n%s\r\n" % (len(event), event)) as raw, gateway(raw.url) as server:
        got = ask(server.url, stream=True).text
        assert "broke off" in got and got.endswith("data: [DONE]\n\n") and "secret" not in got
    with Raw(whole + b'{"choices": [{"message": {"content": "This secret') as raw, gateway(raw.url) as server:
        reply = ask(server.url)
        assert reply.status_code == 502 and "broke off" in reply.text and "secret" not in reply.text


def test_a_gigantic_answer_is_cut_off_early(upstream: Upstream) -> None:
    sent = 0

    def flood(end: bytes) -> Iterator[bytes]:
        nonlocal sent
        yield b'data: {"choices": [{"index": 0, "delta": {"content": "secret '
        for _ in range(2_000):
            sent += 100_000
            yield b"x" * 100_000
        yield end

    for kind, stream in (("text/event-stream", True), ("application/json", False)):
        sent = 0
        upstream.handler = lambda _, kind=kind: StreamingResponse(flood(b'"}}]}\n\n'), media_type=kind)
        with gateway(upstream.url, limits={"answer_chars": 100_000}) as server:  # type: ignore[attr-defined]
            reply = ask(server.url, stream=stream)
            assert "answer_chars" in reply.text or "has over 100000 characters" in reply.text
            assert "secret" not in reply.text and sent < 100_000_000
            assert httpx.get(f"{server.url}/healthz").status_code == 200


def deep(levels: int, text: str = "harmful") -> str:
    return "[" * levels + f'"{text}"' + "]" * levels


@pytest.mark.parametrize(
    "choice",
    [
        '{"index": [0], "delta": {"content": "secret"}}',
        '{"index": {}, "delta": {"content": "secret"}, "finish_reason": "stop"}',
        '{"index": 0, "delta": ' + deep(99_000, "secret") + "}",
    ],
    ids=["a list for an index", "an object for an index", "nested 99,000 deep"],
)
def test_odd_events(upstream: Upstream, choice: str) -> None:
    event = f'data: {{"choices": [{choice}]}}\n\n'.encode()
    upstream.handler = lambda _: StreamingResponse(iter([event]), media_type="text/event-stream")
    with gateway(upstream.url) as server:  # type: ignore[attr-defined]
        got = ask(server.url, stream=True).text
    assert "upstream_error" in got and got.endswith("data: [DONE]\n\n") and "secret" not in got


@pytest.mark.parametrize("stream", [False, True])
def test_answers_nested_deep_are_judged_or_refused(upstream: Upstream, stream: bool) -> None:
    kind = "text/event-stream" if stream else "application/json"
    with gateway(upstream.url) as server:  # type: ignore[attr-defined]
        for levels in (10, 400, *range(900, 1000, 10), 5000):
            body = f'{{"choices": [{{"index": 0, "message": {{"content": {deep(levels)}}}}}]}}'
            sent = f"data: {body}\n\n" if stream else body
            upstream.handler = lambda _, sent=sent: StreamingResponse(iter([sent.encode()]), media_type=kind)
            reply = ask(server.url, stream=stream)
            assert '"harmful"' not in reply.text and reply.status_code in (
                (200,) if stream else (200, 400, 502)
            )
            assert levels > 10 or reply.status_code == 200
        assert "500" not in httpx.get(f"{server.url}/metrics").text.split("requests_total")[1]


def test_half_a_character(upstream: Upstream) -> None:
    half = completion(["Half \ud83d", "This is harmful \ud83d"])
    upstream.handler = lambda _: StreamingResponse(
        iter([json.dumps(half).encode()]), media_type="application/json"
    )
    with gateway(upstream.url) as server:  # type: ignore[attr-defined]
        first, second = ask(server.url, n=2).json()["choices"]
        told = {"prompt": "?", "response": "Half \ud83d", "protector": {"policy": "default"}}
        echoed = httpx.post(f"{server.url}/v1/protect", content=json.dumps(told), headers=JSON).json()
        own = json.dumps({"messages": [{"role": "user", "content": "\ud83d"}], "protector": {}})
        asked = httpx.post(f"{server.url}/v1/chat/completions", content=own, headers=JSON)
    assert first["message"]["content"] == "Half \ud83d" and "harmful" not in second["message"]["content"]
    assert echoed["response"] == "Half \ud83d" and asked.status_code == 200


# -- audit ------------------------------------------------------------------------------------------


def test_a_full_disk_holds_answers_back_until_there_is_room(upstream: Upstream, tmp_path: Path) -> None:
    audit = {"path": str(tmp_path / "audit.db"), "text": "full"}
    with gateway(upstream.url, audit=audit) as server:  # type: ignore[attr-defined]
        assert ask(server.url).status_code == 200
        store = server.app.state.gateway.audit
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")  # what SQLite sees is a full disk
        upstream.texts = [LONG * 5]
        replies = [ask(server.url) for _ in range(5)]
        full = [r for r in replies if r.status_code == 503]
        assert full and all(r.json()["error"]["code"] == "audit_unavailable" for r in full)
        assert not any("sentence" in r.text for r in full)
        got = ask(server.url, stream=True).text
        assert "audit_unavailable" in got and got.endswith("data: [DONE]\n\n")
        assert 'failures_total{part="audit"}' in httpx.get(f"{server.url}/metrics").text
        store._db.execute("PRAGMA max_page_count = 100000")
        assert ask(server.url).status_code == 200


def test_a_killed_server_loses_no_acknowledged_verdict(upstream: Upstream, tmp_path: Path) -> None:
    audit = {"path": str(tmp_path / "audit.db")}
    told: list[str] = []
    with Serve(tmp_path, upstream.url, audit=audit) as serve:  # type: ignore[attr-defined]

        def client(number: int) -> None:
            with contextlib.suppress(httpx.HTTPError):
                while True:
                    body = [{"role": "user", "content": f"{number}"}]
                    reply = ask(serve.url, messages=body, stream=number % 2 == 0)
                    if reply.status_code == 200 and ("[DONE]" in reply.text or number % 2):
                        told.append(reply.headers["x-protector-request-id"])

        with ThreadPoolExecutor(4) as pool:
            for number in range(4):
                pool.submit(client, number)
            deadline = time.monotonic() + 20
            while len(told) < 40 and time.monotonic() < deadline:
                time.sleep(0.02)
            serve.process.send_signal(signal.SIGKILL)
    with AuditStore(tmp_path / "audit.db", create=False) as store:
        kept = {entry.request_id for entry in store.entries()}
    assert len(told) >= 40 and set(told) <= kept


# -- processes --------------------------------------------------------------------------------------


def test_several_workers_one_of_them_killed(upstream: Upstream, tmp_path: Path) -> None:
    audit = {"path": str(tmp_path / "audit.db")}
    with Serve(tmp_path, upstream.url, "--workers", "2", audit=audit) as serve:  # type: ignore[attr-defined]
        deadline = time.monotonic() + 60
        while len(workers(serve.process.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(workers(serve.process.pid)[0], signal.SIGKILL)
        answered = 0
        while answered < 20 and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                answered += ask(serve.url).status_code == 200
        assert answered == 20 and serve.process.poll() is None
    assert serve.process.returncode == 0
    with AuditStore(tmp_path / "audit.db", create=False) as store:
        assert len(store.entries()) >= 20


def workers(parent: int) -> list[int]:
    """The children that serve: those with the interpreter's spawn command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == parent and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.parametrize("short", [True, False], ids=["time runs out", "time enough"])
def test_a_shutdown_finishes_streams_or_ends_them_properly(
    upstream: Upstream, tmp_path: Path, short: bool
) -> None:
    upstream.texts, upstream.pause = [LONG * (8 if short else 1)], 0.005
    times = {"shutdown": 1 if short else 20}
    with Serve(tmp_path, upstream.url, timeouts=times) as serve:  # type: ignore[attr-defined]
        body = {"messages": MESSAGES, "stream": True}
        with httpx.stream("POST", f"{serve.url}/v1/chat/completions", json=body, timeout=30) as reply:
            parts = reply.iter_text()
            got = next(parts)
            serve.process.send_signal(signal.SIGTERM)
            got += "".join(parts)  # raises if the connection breaks off
        assert serve.process.wait(20) in (0, -signal.SIGTERM)
    assert got.endswith("data: [DONE]\n\n")
    assert ("shutting_down" in got) is short and ('"finish_reason": "stop"' in got) is not short
    assert short is upstream.cancelled.is_set()


# -- policies ---------------------------------------------------------------------------------------


def test_a_policy_that_stays_broken_stays_loud(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.yaml"
    good = "extends: default\naction: refuse\ntexts: {refuse: No.}\n"
    path.write_text(good)
    upstream.texts = ["This is harmful."]
    with gateway(upstream.url, str(path), reload_seconds=0.05) as server:  # type: ignore[attr-defined]

        def becomes(broken: list[str], text: str) -> bool:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                told = httpx.get(f"{server.url}/readyz")
                seen = httpx.get(f"{server.url}/metrics").text
                if told.json()["broken_policies"] == broken and text in seen:
                    return told.status_code == 200
                time.sleep(0.02)
            return False

        path.write_text("action: explode\n")
        assert becomes(["mine"], "policies_broken 1.0")
        assert any(r.levelname == "ERROR" and "NOT reloaded" in r.message for r in caplog.records)
        assert ask(server.url).json()["choices"][0]["message"]["content"] == "No."
        path.write_text(good.replace("No.", "Never."))
        assert becomes([], "policies_broken 0.0")
        assert ask(server.url).json()["choices"][0]["message"]["content"] == "Never."


def test_requests_nested_deep(upstream: Upstream) -> None:
    with gateway(upstream.url) as server:  # type: ignore[attr-defined]
        for levels in (10, *range(900, 1000, 10), 5000):
            body = json.dumps({"messages": MESSAGES, "protector": {}})[:-1] + f', "x": {deep(levels)}}}'
            reply = httpx.post(f"{server.url}/v1/chat/completions", content=body, headers=JSON)
            assert reply.status_code == (200 if levels == 10 else reply.status_code) < 500
