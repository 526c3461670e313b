"""The official ``openai`` client, through the gateway and with the guard inside: tools, images, choices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from starlette.responses import JSONResponse, StreamingResponse
from tests.serving import Running, Upstream, chunk, completion

from mllm_protector import Protector
from mllm_protector.clients.openai import AsyncProtectorOpenAI, ProtectorOpenAI
from mllm_protector.gateway.app import create_app
from mllm_protector.gateway.settings import gateway_settings
from mllm_protector.policies import load_policy
from mllm_protector.testing import ScriptedDetector, ScriptedDetoxifier

SAFE = "Here is a safe answer."
BAD = "This is harmful, and so on."
PLAIN = "A plain sentence that says little. " * 20
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
ASK: dict[str, Any] = {"model": "toy", "messages": [{"role": "user", "content": "How?"}]}
TOOLS: Any = [{"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}]


def guard() -> Protector:
    return Protector(ScriptedDetector(), load_policy("default"), {"scripted": ScriptedDetoxifier(SAFE)})


@pytest.fixture(params=["through the gateway", "guard inside"])
def client(request: pytest.FixtureRequest, upstream: Upstream) -> Iterator[openai.OpenAI]:
    url = upstream.url  # type: ignore[attr-defined]
    if request.param == "guard inside":
        with ProtectorOpenAI(base_url=f"{url}/v1", api_key="k", protector=guard(), max_retries=0) as inside:
            yield inside
        return
    with (
        Running(create_app(guard(), gateway_settings({"upstream": url}))) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as outside,
    ):
        yield outside


def call(text: str) -> dict[str, Any]:
    return {
        "id": "1",
        "type": "function",
        "function": {"name": "send", "arguments": json.dumps({"text": text})},
    }


def test_tools(client: openai.OpenAI, upstream: Upstream) -> None:
    for text, kept in (("Hello.", True), (BAD, False)):
        message = {"role": "assistant", "content": None, "tool_calls": [call(text)]}
        body = completion([""]) | {
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
        }
        upstream.handler = lambda _, body=body: JSONResponse(body)
        choice = client.chat.completions.create(tools=TOOLS, **ASK).choices[0]
        assert bool(choice.message.tool_calls) is kept and "is harmful" not in choice.model_dump_json()
        assert choice.finish_reason == ("tool_calls" if kept else "content_filter")
    assert upstream.requests[-1]["tools"] == TOOLS


def test_streamed_tools_with_the_clients_own_helper(client: openai.OpenAI, upstream: Upstream) -> None:
    for text, kept in (("Hello there. " * 30, True), (BAD, False)):
        written = call(text)["function"]["arguments"]
        parts = [{"tool_calls": [{"index": 0, **call(text), "function": {"name": "send", "arguments": ""}}]}]
        parts += [
            {"tool_calls": [{"index": 0, "function": {"arguments": written[n : n + 9]}}]}
            for n in range(0, len(written), 9)
        ]
        events = [*(chunk(part) for part in parts), chunk({}, "tool_calls"), b"data: [DONE]\n\n"]
        upstream.handler = lambda _, events=events: StreamingResponse(
            iter(events), media_type="text/event-stream"
        )
        with client.chat.completions.stream(tools=TOOLS, **ASK) as stream:
            if kept:
                message = stream.get_final_completion().choices[0].message
                assert message.tool_calls and message.tool_calls[0].function.arguments == written
            else:  # what the helper says of finish_reason content_filter
                with pytest.raises(openai.ContentFilterFinishReasonError):
                    stream.get_final_completion()
                assert "is harmful" not in stream.current_completion_snapshot.model_dump_json()


def test_images_reach_the_model_as_they_are_and_what_was_not_read_is_told(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    asked: Any = [{"role": "user", "content": parts}]
    raw = client.chat.completions.with_raw_response.create(model="toy", messages=asked)
    assert upstream.requests[0]["messages"] == asked and raw.headers["x-protector-not-run"] == "1"
    assert raw.parse().choices[0].message.content == "Hello there."


def test_the_choices_of_a_stream(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.texts = [PLAIN, BAD, PLAIN + BAD]
    texts, ends = ["", "", ""], {}
    for event in client.chat.completions.create(n=3, stream=True, **ASK):
        for choice in event.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    assert texts[:2] == [PLAIN, SAFE] and texts[2].endswith(SAFE) and "harmful" not in texts[2]
    assert ends == {0: "stop", 1: "content_filter", 2: "content_filter"}


def test_the_async_client_with_tools_and_choices(upstream: Upstream) -> None:
    upstream.texts = [PLAIN, BAD]
    base = f"{upstream.url}/v1"  # type: ignore[attr-defined]

    async def ask() -> list[str]:
        async with AsyncProtectorOpenAI(base_url=base, api_key="k", protector=guard()) as client:
            whole = await client.chat.completions.create(n=2, tools=TOOLS, **ASK)
            texts = [whole.choices[0].message.content or "", whole.choices[1].message.content or "", "", ""]
            async for event in await client.chat.completions.create(n=2, stream=True, **ASK):
                for choice in event.choices:
                    texts[2 + choice.index] += choice.delta.content or ""
            return texts

    assert asyncio.run(ask()) == [PLAIN, SAFE, PLAIN, SAFE]
