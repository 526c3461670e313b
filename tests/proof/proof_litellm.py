"""The litellm proxy itself, with our guardrail route configured, asked by the official client.

Needs ``litellm[proxy]``, which pins half of PyPI: ``make proof`` gives it an environment of its own. The
file's name keeps it out of the tests proper.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from tests.serving import Running, Upstream

from mllm_protector import Protector
from mllm_protector.gateway.app import create_app
from mllm_protector.gateway.settings import gateway_settings
from mllm_protector.policies import load_policy
from mllm_protector.testing import ScriptedDetector, ScriptedDetoxifier

SAFE = "Here is a safe answer."
BAD = "This is harmful, and so on."
KEY = "sk-0123456789abcdef0123456789abcdef"
PLAIN = "A plain sentence that says little. " * 20
PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"


def config(upstream: str, gateway: str) -> str:
    """The configuration that the documentation shows, with the addresses of the test."""
    blocks = re.findall(r"^```text\n(# litellm.yaml.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    shown: str = blocks[0]
    return shown.replace("http://localhost:8000", upstream).replace("http://127.0.0.1:8100", gateway)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    model = Upstream()
    with Running(model.app) as server:
        model.url = server.url  # type: ignore[attr-defined]
        yield model


@pytest.fixture(scope="module")
def gateway(upstream: Upstream) -> Iterator[Any]:
    os.environ["GUARD_KEY"] = "key-of-litellm"
    guard = Protector(ScriptedDetector(), load_policy("default"), {"scripted": ScriptedDetoxifier(SAFE)})
    section = {
        "upstream": upstream.url,  # type: ignore[attr-defined]
        "keys": [{"name": "litellm", "key_env": "GUARD_KEY"}],
    }
    with Running(create_app(guard, gateway_settings(section))) as server:
        yield server


@pytest.fixture(scope="module")
def client(
    upstream: Upstream, gateway: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[openai.OpenAI]:
    folder = tmp_path_factory.mktemp("litellm")
    path = folder / "litellm.yaml"
    path.write_text(config(upstream.url, gateway.url))  # type: ignore[attr-defined]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("litellm")), "--config", str(path)]
    environment = os.environ | {
        "LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    with (folder / "log").open("w") as log:
        proxy = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=log, stderr=log
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health/liveliness", proxy, folder / "log")
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0) as client:
            yield client
    finally:
        proxy.terminate()
        proxy.wait(30)


def _wait(url: str, proxy: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and proxy.poll() is None:
        try:
            if httpx.get(url, trust_env=False, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"litellm did not start:\n{log.read_text()[-4000:]}")


def ask(client: openai.OpenAI, **body: Any) -> Any:
    return client.chat.completions.create(
        model="llava", messages=[{"role": "user", "content": "How?"}], **body
    )


def streamed(client: openai.OpenAI) -> str:
    return "".join(e.choices[0].delta.content or "" for e in ask(client, stream=True) if e.choices)


def test_a_benign_answer_is_unchanged(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.texts = [PLAIN]
    assert ask(client).choices[0].message.content == PLAIN
    assert streamed(client) == PLAIN


def test_a_harmful_answer_is_rewritten(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.texts = [BAD]
    assert ask(client).choices[0].message.content == SAFE
    upstream.texts = ["Fine.", BAD]
    assert [c.message.content for c in ask(client, n=2).choices] == ["Fine.", SAFE]


@pytest.mark.parametrize("text", [BAD, PLAIN + BAD + " " + PLAIN], ids=["short", "midway"])
def test_a_harmful_stream_does_not_come_through(client: openai.OpenAI, upstream: Upstream, text: str) -> None:
    upstream.texts = [text]
    assert "harmful" not in (found := streamed(client)) and SAFE in found
