"""The guarded openai clients against a real server, with the same guarantees as the gateway."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.serving import Upstream

from mllm_protector import Protector
from mllm_protector.clients.openai import AsyncProtectorOpenAI, ProtectorOpenAI
from mllm_protector.policies import load_policy
from mllm_protector.testing import ScriptedDetector, ScriptedDetoxifier

SAFE = "Here is a safe answer."
BAD = "This is harmful, and so on."
LONG = "A plain sentence that says little. " * 40
ASK: dict[str, Any] = {"model": "toy", "messages": [{"role": "user", "content": "How?"}]}


def guard() -> Protector:
    return Protector(ScriptedDetector(), load_policy("default"), {"scripted": ScriptedDetoxifier(SAFE)})


@pytest.fixture
def client(upstream: Upstream) -> Iterator[ProtectorOpenAI]:
    base = f"{upstream.url}/v1"  # type: ignore[attr-defined]
    with ProtectorOpenAI(base_url=base, api_key="the-key", protector=guard(), max_retries=0) as client:
        yield client


def test_whole_answers(client: ProtectorOpenAI, upstream: Upstream) -> None:
    upstream.texts = [LONG, BAD]
    reply = client.chat.completions.create(n=2, **ASK)
    assert [c.message.content for c in reply.choices] == [LONG, SAFE]
    assert upstream.headers[0]["authorization"] == "Bearer the-key"
    assert [m.id for m in client.models.list()] == ["toy"]


def test_streams(client: ProtectorOpenAI, upstream: Upstream) -> None:
    upstream.texts = [LONG + BAD + LONG]
    text = "".join(
        e.choices[0].delta.content or ""
        for e in client.chat.completions.create(stream=True, **ASK)
        if e.choices
    )
    assert text.endswith(SAFE) and "harmful" not in text and text.startswith("A plain sentence")


def test_a_stream_flows_and_leaving_it_stops_the_model(client: ProtectorOpenAI, upstream: Upstream) -> None:
    upstream.texts, upstream.pause = [LONG * 20], 0.005
    with client.chat.completions.create(stream=True, **ASK) as stream:
        next(iter(stream))
        assert upstream.sent < 1000
    assert upstream.cancelled.wait(10)


def test_errors_are_the_clients_own(client: ProtectorOpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="toy", messages=[])
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="toy", input="x")  # nothing passes unjudged


def test_the_async_client(upstream: Upstream) -> None:
    upstream.texts = [BAD]

    async def ask() -> tuple[str | None, str]:
        base = f"{upstream.url}/v1"  # type: ignore[attr-defined]
        async with AsyncProtectorOpenAI(
            base_url=base, api_key="k", protector=guard(), max_retries=0
        ) as client:
            whole = await client.chat.completions.create(**ASK)
            stream = await client.chat.completions.create(stream=True, **ASK)
            text = "".join([e.choices[0].delta.content or "" async for e in stream if e.choices])
            many = await asyncio.gather(*(client.chat.completions.create(**ASK) for _ in range(16)))
            assert all(m.choices[0].message.content == SAFE for m in many)
            return whole.choices[0].message.content, text

    assert asyncio.run(ask()) == (SAFE, SAFE)


def test_closing_ends_the_thread(upstream: Upstream) -> None:
    base = f"{upstream.url}/v1"  # type: ignore[attr-defined]
    client = ProtectorOpenAI(base_url=base, api_key="k", protector=guard())
    assert any(t.name == "mllm-protector" for t in threading.enumerate())
    client.close()
    client.close()
    assert not any(t.name == "mllm-protector" for t in threading.enumerate())
