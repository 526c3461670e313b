"""The gateway as its users meet it: a real server in front of a real server, and the official client."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image as Picture
from starlette.responses import JSONResponse
from tests.front import BAD, MESSAGES, SAFE, TOOL, Front, content, finish, guard
from tests.serving import Running, Upstream, completion

from mllm_protector import Protector
from mllm_protector.gateway.app import create_app
from mllm_protector.gateway.settings import gateway_settings
from mllm_protector.policies import load_policy
from mllm_protector.testing import ScriptedDetector
from mllm_protector.types import Detection, Exchange, Image

# -- whole answers ----------------------------------------------------------------------------------


def test_an_allowed_answer_is_the_upstreams_byte_for_byte(front: Front, upstream: Upstream) -> None:
    reply = front.chat(seed=3, vendor_key={"kept": True})
    direct = httpx.post(f"{upstream.url}/v1/chat/completions", json={"messages": MESSAGES})  # type: ignore[attr-defined]
    assert reply.content == direct.content
    assert upstream.requests[0]["vendor_key"] == {"kept": True}
    assert reply.headers["x-protector-action"] == "allow" and reply.headers["x-protector-policy"] == "test"


def test_a_harmful_answer_is_rewritten(front: Front, upstream: Upstream) -> None:
    upstream.texts = [BAD]
    reply = front.chat()
    choice = reply.json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (SAFE, "stop")
    told = choice["protector"]
    assert told["action"] == "detoxify" and told["harm"] == 0.9 and told["recheck"] == 0.01
    assert reply.json()["usage"]["total_tokens"] == 3 and reply.json()["x_vendor"] == {"a": 1}
    assert "harmful" not in reply.text.replace('harm"', "")


def test_a_refusal_says_content_filter(upstream: Upstream) -> None:
    upstream.texts = [BAD]
    with Front(upstream, guard("extends: default\naction: refuse")) as front:
        choice = front.chat().json()["choices"][0]
        assert choice["finish_reason"] == "content_filter" and "content_filter_results" in choice
        assert choice["message"]["content"].startswith("I can't help")
    with Front(upstream, guard("extends: default\naction: refuse"), strict=True) as front:
        reply = front.chat()
        assert reply.status_code == 400 and reply.json()["error"]["code"] == "content_filter"


def test_all_choices_reasoning_and_tool_calls_are_judged(front: Front, upstream: Upstream) -> None:
    upstream.texts = ["Fine.", BAD]
    first, second = front.chat(n=2).json()["choices"]
    assert first["message"]["content"] == "Fine." and second["message"]["content"] == SAFE
    for message in (
        {"role": "assistant", "content": "Fine.", "reasoning_content": BAD},
        {"role": "assistant", "content": "Fine.", "thoughts_of_tomorrow": [{"text": BAD}]},
        {"role": "assistant", "content": None, "tool_calls": [TOOL]},
        {"role": "assistant", "content": [{"type": "text", "text": BAD}]},
        {"role": "assistant", "content": None, "refusal": BAD},
    ):  # fmt: skip
        body = completion([""]) | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        upstream.handler = lambda _, body=body: JSONResponse(body)
        reply = front.chat()
        assert reply.status_code == 200 and "is harmful" not in reply.text, message


def test_a_disclaimer_is_appended(upstream: Upstream) -> None:
    class Advice(ScriptedDetector):
        def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
            return [
                Detection(0.1, {"health-advice": 0.9 if "dose" in e.response else 0.0}) for e in exchanges
            ]

    upstream.texts = ["Take one dose a day."]
    with Front(upstream, Protector(Advice(), load_policy("default"), {})) as front:
        text = front.chat().json()["choices"][0]["message"]["content"]
        assert text.startswith("Take one dose a day.\n\nPlease note: I am not a doctor")
        events = front.streamed()
        assert content(events) == text and finish(events) == ["stop"]


# -- requests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b'{"messages": [{"role": "user", "content": 7}]}', 422, "invalid_request"),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 1000}', 422, "invalid_request"),
        (b'{"messages": [{"role": "user", "content": "x"}], "stream": "yes"}', 422, "invalid_request"),
        (b"[" * 5000, 400, "invalid_json"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(front: Front, content_: bytes, status: int, code: str) -> None:
    reply = front.http.post(
        "/v1/chat/completions", content=content_, headers={"content-type": "application/json"}
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_limits_of_size_type_and_number(upstream: Upstream) -> None:
    with Front(upstream, limits={"body_mb": 0.1, "images": 2, "body_seconds": 1}) as front:
        assert front.chat(junk="x" * 200_000).status_code == 413
        chunks = (b"x" * 50_000 for _ in range(10))  # no content-length
        typed = {"content-type": "application/json"}
        assert front.http.post("/v1/chat/completions", content=chunks, headers=typed).status_code == 413
        reply = front.http.post("/v1/chat/completions", content=b"x", headers={"content-type": "text/plain"})
        assert reply.status_code == 415
        many = [{"type": "image_url", "image_url": {"url": "data:,"}}] * 3
        reply = front.chat(messages=[{"role": "user", "content": many}])
        assert reply.status_code == 422 and "at most 2" in reply.text

        def slow() -> Iterator[bytes]:
            yield b"{"
            time.sleep(2)
            yield b"}"

        assert front.http.post("/v1/chat/completions", content=slow(), headers=typed).status_code == 408
        assert front.http.get("/nothing").json()["error"]["code"] == "not_found"
        assert front.http.get("/v1/chat/completions").status_code == 405


def test_nuls_and_emoji_pass(front: Front, upstream: Upstream) -> None:
    front.chat(messages=[{"role": "user", "content": "\u0000\u0000 \U0001f9e8 \ud7ff"}])
    assert upstream.requests[0]["messages"][0]["content"].startswith("\u0000\u0000 \U0001f9e8")


def picture() -> str:
    stream = io.BytesIO()
    Picture.new("RGB", (8, 8)).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def ask_with(url: str) -> list[dict[str, Any]]:
    return [
        {
            "role": "user",
            "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}],
        }
    ]


def test_images_that_are_not_read_are_reported_or_refused(upstream: Upstream) -> None:
    with Front(upstream) as front:
        reply = front.chat(messages=ask_with(picture()))
        assert reply.status_code == 200 and reply.headers["x-protector-not-run"] == "1"
    with Front(upstream, unread="refuse") as front:
        reply = front.chat(messages=ask_with(picture()))
        assert reply.status_code == 422 and "no image_reader is configured" in reply.text


class Reader:
    def __init__(self) -> None:
        self.calls = 0

    def read(self, images: Sequence[Image], /) -> list[str]:
        self.calls += 1
        return ["the forbidden word" for _ in images]


def test_images_are_read_once_and_judged_with_the_answer(upstream: Upstream) -> None:
    reader = Reader()
    detector = ScriptedDetector({"forbidden": 0.9}, read_images=True)
    protector = Protector(detector, load_policy("default"), {}, image_reader=reader)
    with Front(upstream, protector) as front:
        for stream in (False, True):
            assert "Hello there" not in front.chat(messages=ask_with(picture()), stream=stream).text
        assert reader.calls == 2
        remote = front.chat(messages=ask_with("http://169.254.169.254/latest"))
        assert remote.headers["x-protector-not-run"] == "1" and reader.calls == 2


# -- keys and policies ------------------------------------------------------------------------------


def test_keys_policies_and_rates(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_A", "aaaa-secret")
    monkeypatch.setenv("KEY_UP", "upstream-secret")
    keys = [{"name": "a", "key_env": "KEY_A", "policies": ["default", "strict"], "requests_per_minute": 3}]
    with Front(upstream, keys=keys, upstream_key_env="KEY_UP") as front:
        assert front.chat().status_code == 401
        front.http.headers["authorization"] = "Bearer aaaa-secret"
        assert front.chat().headers["x-protector-policy"] == "default"
        reply = front.chat(protector={"policy": "strict"})
        assert reply.headers["x-protector-policy"] == "strict" and "protector" not in upstream.requests[-1]
        assert upstream.headers[-1]["authorization"] == "Bearer upstream-secret"
        front.http.headers["x-protector-policy"] = "children"
        assert front.chat().status_code == 403
        reply = front.chat()
        assert reply.status_code == 429 and int(reply.headers["retry-after"]) >= 1


def test_without_keys_the_clients_authorization_goes_upstream(front: Front, upstream: Upstream) -> None:
    front.client.chat.completions.create(model="toy", messages=MESSAGES)  # type: ignore[arg-type]
    assert upstream.headers[0]["authorization"] == "Bearer key-of-the-model"


def test_policies_are_reloaded_and_a_broken_one_keeps_the_old(upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: default\ntexts: {refuse: First.}\naction: refuse\n")
    upstream.texts = [BAD]
    protector = Protector(ScriptedDetector(), load_policy(path), {})
    settings = gateway_settings({"upstream": upstream.url, "reload_seconds": 0.1})  # type: ignore[attr-defined]
    with Running(create_app(protector, settings, source=str(path))) as server:

        def told() -> str:
            reply = httpx.post(f"{server.url}/v1/chat/completions", json={"messages": MESSAGES})
            return str(reply.json()["choices"][0]["message"]["content"])

        assert told() == "First."
        path.write_text("extends: default\ntexts: {refuse: Second.}\naction: refuse\n")
        deadline = time.monotonic() + 10
        while told() != "Second." and time.monotonic() < deadline:
            time.sleep(0.05)
        path.write_text("action: explode\n")
        while (
            "broken" not in httpx.get(f"{server.url}/metrics").text.split("reloads_total", 2)[-1]
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        time.sleep(0.3)
        assert told() == "Second."
        assert 'policy_reloads_total{result="broken"} 1.0' in httpx.get(f"{server.url}/metrics").text


# -- audit ------------------------------------------------------------------------------------------


def test_every_verdict_is_written_down(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mllm_protector.audit import AuditStore

    monkeypatch.setenv("KEY_A", "aaaa-secret-aaaa")
    keys = [{"name": "team", "key_env": "KEY_A"}]
    audit = {"path": str(tmp_path / "audit.db"), "text": "full"}
    upstream.texts = ["Fine.", BAD]
    with Front(upstream, keys=keys, audit=audit) as front:
        front.http.headers["authorization"] = "Bearer aaaa-secret-aaaa"
        reply = front.chat(n=2)
        front.streamed(n=2)
        front.http.post("/v1/protect", json={"prompt": "a", "response": BAD})
    with AuditStore(tmp_path / "audit.db", create=False) as store:
        found = store.entries(newest_first=False)
    assert [(e.action, e.choice) for e in found] == [
        ("allow", 0), ("detoxify", 1), ("allow", 0), ("detoxify", 1), ("detoxify", 0),
    ]  # fmt: skip
    assert found[1].request_id == reply.headers["x-protector-request-id"] and found[1].caller == "team"
    assert found[1].response == BAD and found[1].delivered == SAFE and found[3].harm == 0.9
    assert b"aaaa-secret" not in b"".join(p.read_bytes() for p in tmp_path.glob("audit.db*"))


def test_an_audit_that_cannot_be_written_holds_the_answer_back(upstream: Upstream, tmp_path: Path) -> None:
    with Front(upstream, audit={"path": str(tmp_path / "audit.db")}) as front:
        store = front.app.state.gateway.audit
        store._db.execute("DROP TABLE verdicts")
        reply = front.chat()
        assert reply.status_code == 503 and reply.json()["error"]["code"] == "audit_unavailable"
        assert "Hello" not in reply.text and front.http.get("/healthz").status_code == 200
        assert "audit_unavailable" in front.chat(stream=True).text
