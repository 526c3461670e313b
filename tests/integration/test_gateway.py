"""The gateway as its users meet it: a real server in front of a real server, and the official client."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from PIL import Image as Picture
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from tests.serving import Running, Upstream, chunk, completion

from mllm_protector import Protector
from mllm_protector.gateway.app import create_app
from mllm_protector.gateway.settings import GatewaySettings, gateway_settings
from mllm_protector.policies import load_policy, parse_policy
from mllm_protector.testing import ScriptedDetector, ScriptedDetoxifier
from mllm_protector.types import Detection, Exchange, Image

SAFE = "Here is a safe answer."
BAD = "This is harmful, and so on."
LONG = "A plain sentence that says little. " * 40
TOOL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"x": BAD})}}
MESSAGES = [{"role": "user", "content": "How?"}]


def guard(policy: str = "extends: default") -> Protector:
    return Protector(
        ScriptedDetector(), parse_policy(policy, name="test"), {"scripted": ScriptedDetoxifier(SAFE)}
    )


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    model = Upstream()
    with Running(model.app) as server:
        model.url = server.url  # type: ignore[attr-defined]
        yield model


class Front:
    """A gateway in front of the upstream; made anew where a test needs other settings."""

    def __init__(self, upstream: Upstream, protector: Protector | None = None, **settings: Any) -> None:
        section = {"upstream": upstream.url, **settings}  # type: ignore[attr-defined]
        self.app = create_app(protector or guard(), gateway_settings(section))
        self.server = Running(self.app)

    def __enter__(self) -> Front:
        self.server.__enter__()
        self.http = httpx.Client(base_url=self.server.url, timeout=30)
        self.client = openai.OpenAI(
            base_url=f"{self.server.url}/v1", api_key="key-of-the-model", max_retries=0
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.client.close()
        self.server.__exit__()

    def chat(self, **body: Any) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json={"model": "toy", "messages": MESSAGES, **body})

    def streamed(self, **body: Any) -> list[dict[str, Any]]:
        reply = self.chat(stream=True, **body)
        assert reply.status_code == 200 and reply.text.endswith("data: [DONE]\n\n"), reply.text
        lines = [line[6:] for line in reply.text.splitlines() if line.startswith("data: {")]
        return [json.loads(line) for line in lines]


@pytest.fixture
def front(upstream: Upstream) -> Iterator[Front]:
    with Front(upstream) as front:
        yield front


def content(events: Sequence[dict[str, Any]], index: int = 0) -> str:
    choices = [c for e in events for c in e.get("choices", ()) if c["index"] == index]
    return "".join(c["delta"].get("content") or "" for c in choices)


def finish(events: Sequence[dict[str, Any]], index: int = 0) -> list[str]:
    choices = [c for e in events for c in e.get("choices", ()) if c["index"] == index]
    return [c["finish_reason"] for c in choices if c["finish_reason"]]


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


# -- streams ----------------------------------------------------------------------------------------


def test_an_allowed_stream_is_the_upstreams_event_for_event(front: Front, upstream: Upstream) -> None:
    upstream.texts = [LONG]
    reply = front.chat(stream=True)
    direct = httpx.post(f"{upstream.url}/v1/chat/completions", json={"stream": True, "messages": MESSAGES})  # type: ignore[attr-defined]
    assert reply.text == direct.text
    assert reply.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("mode", ["window", "full"])
@pytest.mark.parametrize("place", [0, 500, 1300])
def test_harm_midway_never_leaves_and_the_stream_ends_properly(
    upstream: Upstream, mode: str, place: int
) -> None:
    upstream.texts = [LONG[:place] + " " + BAD + " " + LONG]
    with Front(upstream, stream={"mode": mode}) as front:
        events = front.streamed()
    text = content(events)
    assert "harmful" not in json.dumps(events).replace('"harm"', "")
    assert text.endswith(SAFE) and LONG.startswith(text.removesuffix(SAFE).rstrip()[:place])
    assert finish(events) == ["content_filter"]
    last = next(c for e in events for c in e["choices"] if c["finish_reason"])
    assert last["protector"]["action"] == "detoxify" and last["protector"]["recheck"] == 0.01


def test_each_choice_of_a_stream_is_its_own(front: Front, upstream: Upstream) -> None:
    upstream.texts = ["All is well.", BAD]
    events = front.streamed(n=2)
    assert content(events, 0) == "All is well." and finish(events, 0) == ["stop"]
    assert content(events, 1) == SAFE and finish(events, 1) == ["content_filter"]
    assert any("usage" in e for e in events)


def test_reasoning_and_tool_calls_of_a_stream_are_judged(front: Front, upstream: Upstream) -> None:
    for delta in ({"reasoning_content": BAD}, {"tool_calls": [{"index": 0, "function": {"arguments": BAD}}]}):
        upstream.handler = lambda _, d=delta: StreamingResponse(
            iter([chunk(d), chunk({"content": "Fine."}), chunk({}, "stop"), b"data: [DONE]\n\n"]),
            media_type="text/event-stream",
        )
        events = front.streamed()
        assert "is harmful" not in json.dumps(events) and finish(events) == ["content_filter"]


def test_the_first_words_leave_before_the_last_come(front: Front, upstream: Upstream) -> None:
    upstream.texts, upstream.pause = [LONG], 0.004
    with front.http.stream(
        "POST", "/v1/chat/completions", json={"stream": True, "messages": MESSAGES}
    ) as reply:
        next(reply.iter_bytes())
        assert upstream.sent < 150, "the first event came before half of the answer was generated"


def test_a_client_that_goes_away_stops_the_model(front: Front, upstream: Upstream) -> None:
    upstream.texts, upstream.pause = [LONG * 20], 0.01
    with front.http.stream(
        "POST", "/v1/chat/completions", json={"stream": True, "messages": MESSAGES}
    ) as reply:
        next(reply.iter_bytes())
    assert upstream.cancelled.wait(10)
    for _ in range(100):
        if "disconnects_total 1.0" in front.http.get("/metrics").text:
            return
        time.sleep(0.05)
    raise AssertionError("the disconnect was not counted")


def test_an_upstream_that_cannot_stream_is_judged_whole(front: Front, upstream: Upstream) -> None:
    upstream.handler = lambda _: JSONResponse(completion([BAD]))
    assert front.chat(stream=True).json()["choices"][0]["message"]["content"] == SAFE


# -- faults -----------------------------------------------------------------------------------------


def broken(*parts: bytes) -> Response:
    return StreamingResponse(iter(parts), media_type="text/event-stream")


@pytest.mark.parametrize(
    "reply",
    [
        lambda _: broken(chunk({"content": "This "}), b"data: {nonsense\n\n"),
        lambda _: broken(chunk({"content": "This "}), b"data: [1]\n\n"),
        lambda _: broken(chunk({"content": "\xff"})[:-30] + b"\xff\xff\n\n"),
        lambda _: broken(chunk({}, "stop"), chunk({"content": "harmful after the end"})),
        lambda _: broken(b'data: {"error": {"message": "harmful words"}}\n\n'),
        lambda _: broken(b'data: {"choices": [7]}\n\n'),
    ],
    ids=["no JSON", "a list", "no UTF-8", "text after the end", "an error event", "odd choice"],
)
def test_a_broken_stream_ends_in_an_error_event(front: Front, upstream: Upstream, reply: Any) -> None:
    upstream.handler = reply
    got = front.chat(stream=True)
    assert '"code":"upstream_error"' in got.text.replace(" ", "") and got.text.endswith("data: [DONE]\n\n")
    assert "This " not in got.text and "harmful" not in got.text
    assert front.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (lambda _: HTMLResponse("<h1>harmful</h1>"), 502, "upstream_error"),
        (lambda _: Response(b"{", media_type="application/json"), 502, "upstream_error"),
        (lambda _: JSONResponse([1]), 502, "upstream_error"),
        (lambda _: JSONResponse({"choices": "harmful"}), 502, "upstream_error"),
        (lambda _: JSONResponse({"error": {"message": "no such model", "code": "m"}}, 404), 404, "m"),
        (lambda _: JSONResponse({"error": {"code": "slow"}}, 429, {"retry-after": "3"}), 429, "slow"),
        (lambda _: HTMLResponse("oops", 500), 502, "upstream_error"),
        (lambda _: JSONResponse({"choices": [{"message": {"content": BAD}}]}, 500), 502, "upstream_error"),
    ],
)
def test_what_an_upstream_can_answer(
    front: Front, upstream: Upstream, reply: Any, status: int, code: str
) -> None:
    upstream.handler = reply
    for stream in (False, True):
        got = front.chat(stream=stream)
        assert (got.status_code, got.json()["error"]["code"]) == (status, code)
        assert "harmful" not in got.text
    assert status != 429 or got.headers["retry-after"] == "3"


def test_an_upstream_that_is_down_or_stalls(upstream: Upstream) -> None:
    down = Upstream()
    down.url = "http://127.0.0.1:9"  # type: ignore[attr-defined]
    with Front(down) as front:
        assert front.chat().status_code == 502 and "cannot be reached" in front.chat().text
        assert front.http.get("/readyz").status_code == 200

    async def stall() -> Any:
        yield chunk({"content": "This "})
        await asyncio.sleep(20)

    upstream.handler = lambda _: StreamingResponse(stall(), media_type="text/event-stream")
    with Front(upstream, timeouts={"read": 0.5}) as front:
        began = time.monotonic()
        got = front.chat(stream=True)
        assert "stalled" in got.text and "This " not in got.text and time.monotonic() - began < 10


def test_a_slow_stream_is_kept_alive_by_comments(upstream: Upstream) -> None:
    async def slow() -> Any:
        await asyncio.sleep(0.6)
        yield chunk({"content": "Hello."})
        yield chunk({}, "stop")

    upstream.handler = lambda _: StreamingResponse(slow(), media_type="text/event-stream")
    with Front(upstream, stream={"heartbeat": 0.1}) as front:
        got = front.chat(stream=True).text
    assert got.count(": still here") >= 3 and "Hello." in got


class Failing:
    def __init__(self, hang: float = 0.0) -> None:
        self.hang, self.armed = hang, False

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        if any(e.response == "Hello there." and e.query.prompt == "Hi" for e in exchanges):
            return [Detection(0.0)] * len(exchanges)  # the warm-up
        if self.hang:
            time.sleep(self.hang)
        raise RuntimeError("the detector is broken")


@pytest.mark.parametrize("hang", [0.0, 3.0], ids=["raises", "hangs"])
def test_a_guard_that_fails_fails_closed(upstream: Upstream, hang: float) -> None:
    protector = Protector(Failing(hang), load_policy("default"), {})
    with Front(upstream, protector, batching={"timeout": 0.5}) as front:
        reply = front.chat()
        assert reply.status_code == 503 and reply.json()["error"]["code"] == "guard_unavailable"
        assert "Hello" not in reply.text
        streamed = front.chat(stream=True).text
        assert "guard_unavailable" in streamed and "Hello" not in streamed
        assert 'failures_total{part="detector"}' in front.http.get("/metrics").text


def test_fail_open_is_counted_and_logged(upstream: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    protector = Protector(Failing(), parse_policy("extends: default\non_error: allow", name="open"), {})
    with Front(upstream, protector) as front:
        assert front.chat().json()["choices"][0]["message"]["content"] == "Hello there."
        assert content(front.streamed()) == "Hello there."
        assert "bypasses_total 2.0" in front.http.get("/metrics").text
    assert any(r.levelname == "CRITICAL" and "UNJUDGED" in r.message for r in caplog.records)
    assert "Hello there" not in caplog.text


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


# -- judging routes and health ----------------------------------------------------------------------


def test_moderations(front: Front) -> None:
    found = front.client.moderations.create(input=["Fine.", BAD])
    assert [r.flagged for r in found.results] == [False, True]
    assert front.http.post("/v1/moderations", json={"input": [7]}).status_code == 422


def test_protect(front: Front) -> None:
    one = front.http.post("/v1/protect", json={"prompt": "How?", "response": BAD}).json()
    assert one["action"] == "detoxify" and one["response"] == SAFE
    many = front.http.post(
        "/v1/protect", json={"exchanges": [{"prompt": "a", "response": "Fine."}] * 3}
    ).json()
    assert [p["action"] for p in many["protections"]] == ["allow"] * 3
    files = front.http.post("/v1/protect", json={"prompt": "a", "response": "b", "images": ["/etc/passwd"]})
    assert files.status_code == 422 and "not read" in files.text


def test_litellms_contract(front: Front) -> None:
    def ask(**body: Any) -> Any:
        return front.http.post("/beta/litellm_basic_guardrail_api", json=body).json()

    assert ask(texts=["x"], input_type="request") == {"action": "NONE"}
    assert ask(texts=["Fine."], input_type="response") == {"action": "NONE"}
    found = ask(texts=["Fine.", BAD], input_type="response", structured_messages=MESSAGES)
    assert found == {"action": "GUARDRAIL_INTERVENED", "texts": ["Fine.", SAFE]}
    tool = [{"function": {"name": "f", "arguments": BAD}}]
    assert ask(texts=[], tool_calls=tool, input_type="response")["action"] == "BLOCKED"


def test_the_fms_contract(front: Front) -> None:
    found = front.http.post("/api/v1/text/contents", json={"contents": ["Fine.", f"All right. {BAD}"]}).json()
    assert found[0] == [] and found[1][0]["text"].strip() == BAD and found[1][0]["score"] == 0.9


def test_health_models_and_metrics(front: Front) -> None:
    assert front.http.get("/healthz").json() == {"status": "ok"}
    assert front.http.get("/readyz").json()["status"] == "ready"
    assert [m.id for m in front.client.models.list()] == ["toy"]
    front.chat()
    text = front.http.get("/metrics").text
    assert 'requests_total{route="/v1/chat/completions",status="200"} 1.0' in text


# -- the official client ----------------------------------------------------------------------------


def test_the_official_client(front: Front, upstream: Upstream) -> None:
    upstream.texts = [LONG, BAD]
    ask: Any = front.client.chat.completions.create
    whole = ask(model="toy", messages=MESSAGES, n=2)
    assert [c.message.content for c in whole.choices] == [LONG, SAFE]
    assert whole.choices[1].protector["action"] == "detoxify"
    texts = ["", ""]
    for event in ask(model="toy", messages=MESSAGES, n=2, stream=True):
        for choice in event.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [LONG, SAFE]


def test_the_official_async_client(front: Front, upstream: Upstream) -> None:
    upstream.texts = [BAD]

    async def ask() -> str:
        async with openai.AsyncOpenAI(
            base_url=f"{front.server.url}/v1", api_key="k", max_retries=0
        ) as client:
            create: Any = client.chat.completions.create
            stream = await create(model="toy", messages=MESSAGES, stream=True)
            return "".join([e.choices[0].delta.content or "" async for e in stream if e.choices])

    assert asyncio.run(ask()) == SAFE


def test_sixty_four_at_once(front: Front, upstream: Upstream) -> None:
    upstream.texts = [BAD]

    async def ask() -> list[int]:
        async with httpx.AsyncClient(base_url=front.server.url, timeout=60) as client:
            body = {"messages": MESSAGES}
            replies = await asyncio.gather(
                *(client.post("/v1/chat/completions", json=body | {"stream": n % 2 == 0}) for n in range(64))
            )
            assert all("is harmful" not in r.text and SAFE in r.text for r in replies)
            return [r.status_code for r in replies]

    assert asyncio.run(ask()) == [200] * 64


def test_settings_are_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    from mllm_protector.errors import ConfigError

    with pytest.raises(ConfigError, match="upstream"):
        gateway_settings({"upstraem": "http://x"})
    monkeypatch.delenv("NO_SUCH", raising=False)
    with pytest.raises(ConfigError, match="NO_SUCH is not set"):
        gateway_settings({"upstream_key_env": "NO_SUCH"})
    assert GatewaySettings(upstream="http://x/v1").base_url() == "http://x/v1"


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
