"""Streams through the gateway, and what happens when model or guard fail: real servers on both sides."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from tests.front import BAD, LONG, MESSAGES, SAFE, Front, content, finish
from tests.serving import Upstream, chunk, completion

from mllm_protector import Protector
from mllm_protector.policies import load_policy, parse_policy
from mllm_protector.types import Detection, Exchange

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
