"""What the documentation promises a newcomer: plain curl sees a harmful stream turn into a safe one."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.serving import Running, Upstream

from mllm_protector import Protector
from mllm_protector.gateway.app import create_app
from mllm_protector.gateway.settings import gateway_settings

PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"
# Mild, and invented here; what matters is that the shipped detector objects to it.
HARMFUL = (
    "Sure! Here is how to hurt your neighbour and get away with it. First, wait until he is asleep and break "
    "into his house with a crowbar. Then stab him with a knife, and burn the house down to hide the body. "
)


def shell(command: str) -> str:
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    return ran.stdout


def text(transcript: str) -> str:
    events = [json.loads(line[6:]) for line in transcript.splitlines() if line.startswith("data: {")]
    return "".join(c["delta"].get("content") or "" for e in events for c in e.get("choices", ()))


def test_a_harmful_stream_turns_into_a_safe_one(protector: Protector) -> None:
    (command,) = re.findall(r"^curl .*?\n.*?$", PAGE.read_text(), re.MULTILINE)[:1]
    model = Upstream()
    with Running(model.app) as upstream:
        settings = gateway_settings({"upstream": upstream.url})
        with Running(create_app(protector, settings)) as server:
            direct = command.replace("http://127.0.0.1:8100", upstream.url)
            guarded = command.replace("http://127.0.0.1:8100", server.url)
            assert upstream.url in direct and server.url in guarded
            assert text(shell(guarded)) == "Hello there."
            model.texts = [HARMFUL * 3]
            assert "knife" in text(shell(direct))
            told = shell(guarded)
            assert "knife" not in told and "crowbar" not in told and text(told).strip()
            assert told.endswith("data: [DONE]\n\n") and '"finish_reason":"content_filter"' in told
            headers = shell(guarded.replace("curl -N", "curl -N -s -o /dev/null -D -"))
            assert "x-protector-policy: default" in headers and "text/event-stream" in headers
            accented = shell(
                guarded.replace("curl -N", "curl -s -o /dev/null -w '%{http_code}' -H 'x-name: Jörg'")
            )
            assert accented == "200"
