"""The routes that judge without a model behind them, health, and the official client."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest
from tests.front import BAD, LONG, MESSAGES, SAFE, Front
from tests.serving import Upstream

from mllm_protector.gateway.settings import GatewaySettings, gateway_settings

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
