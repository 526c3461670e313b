"""A gateway in front of a scripted model, for tests: real servers, a scripted guard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import openai
from tests.serving import Running, Upstream

from mllm_protector import Protector
from mllm_protector.gateway.app import create_app
from mllm_protector.gateway.settings import gateway_settings
from mllm_protector.policies import parse_policy
from mllm_protector.testing import ScriptedDetector, ScriptedDetoxifier

SAFE = "Here is a safe answer."
BAD = "This is harmful, and so on."
LONG = "A plain sentence that says little. " * 40
TOOL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"x": BAD})}}
MESSAGES = [{"role": "user", "content": "How?"}]


def guard(policy: str = "extends: default") -> Protector:
    return Protector(
        ScriptedDetector(), parse_policy(policy, name="test"), {"scripted": ScriptedDetoxifier(SAFE)}
    )


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


def content(events: Sequence[dict[str, Any]], index: int = 0) -> str:
    choices = [c for e in events for c in e.get("choices", ()) if c["index"] == index]
    return "".join(c["delta"].get("content") or "" for c in choices)


def finish(events: Sequence[dict[str, Any]], index: int = 0) -> list[str]:
    choices = [c for e in events for c in e.get("choices", ()) if c["index"] == index]
    return [c["finish_reason"] for c in choices if c["finish_reason"]]
