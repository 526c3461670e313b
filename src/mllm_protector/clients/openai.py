"""The official ``openai`` client with a guard inside: same calls and types, judged answers, no server.

    client = ProtectorOpenAI(base_url="http://localhost:8000/v1", api_key="...", policy="strict")
    client.chat.completions.create(model="llava", messages=[...], stream=True)

Guarded are chat completions, whole and streamed, and ``models``; ``moderations`` are answered by the
detector. Every other call is answered with 404: nothing passes that was not judged.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai

from mllm_protector.assembly import load_protector
from mllm_protector.clients.bridge import AsyncBridgeTransport, Bridge, BridgeTransport
from mllm_protector.gateway.app import create_app
from mllm_protector.gateway.settings import gateway_settings
from mllm_protector.policy import Policy
from mllm_protector.protector import Protector

__all__ = ["AsyncProtectorOpenAI", "ProtectorOpenAI"]

_OPENAI = "https://api.openai.com/v1"


def _bridge(
    base_url: str | None,
    protector: Protector | None,
    policy: str | Path | Policy,
    settings: dict[str, Any] | None,
) -> tuple[str, Bridge]:
    base = base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI
    made = protector or load_protector(policy)
    upstream = base.rstrip("/").removesuffix("/v1")
    app = create_app(made, gateway_settings({**(settings or {}), "upstream": upstream}))
    return base, Bridge(app, urlsplit(base).path)


class ProtectorOpenAI(openai.OpenAI):
    """``openai.OpenAI`` whose answers are judged in this process before they are returned.

    Args:
        protector: the guard; None loads the embedded one with ``policy``.
        policy: name, file or value; not used if a protector is given.
        settings: keys of the ``gateway`` section, such as ``{"stream": {"mode": "full"}}``.
        base_url: as for ``openai.OpenAI``; it must end in ``/v1``, as those of such servers do.
        options: what else ``openai.OpenAI`` takes, but ``http_client``.

    Raises:
        PolicyError, ConfigError, CheckpointError: the guard cannot be built.
    """

    def __init__(
        self,
        *,
        protector: Protector | None = None,
        policy: str | Path | Policy = "default",
        settings: dict[str, Any] | None = None,
        base_url: str | None = None,
        **options: Any,
    ) -> None:
        base, bridge = _bridge(base_url, protector, policy, settings)
        client: Any = httpx.Client(transport=BridgeTransport(bridge), timeout=None)  # noqa: S113 (each call sets it)
        super().__init__(base_url=base, http_client=client, **options)


class AsyncProtectorOpenAI(openai.AsyncOpenAI):
    """``openai.AsyncOpenAI``, guarded the same way; see ``ProtectorOpenAI`` for its arguments."""

    def __init__(
        self,
        *,
        protector: Protector | None = None,
        policy: str | Path | Policy = "default",
        settings: dict[str, Any] | None = None,
        base_url: str | None = None,
        **options: Any,
    ) -> None:
        base, bridge = _bridge(base_url, protector, policy, settings)
        client: Any = httpx.AsyncClient(transport=AsyncBridgeTransport(bridge), timeout=None)  # noqa: S113
        super().__init__(base_url=base, http_client=client, **options)
