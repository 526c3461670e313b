"""What the ``gateway:`` section of a configuration file may say. Every key is optional but the upstream.

Secrets never stand here: keys are named by the environment variable that holds them.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mllm_protector.errors import ConfigError
from mllm_protector.streaming import Hold, Mode
from mllm_protector.suggest import nearest

__all__ = [
    "AuditSettings",
    "BatchingSettings",
    "GatewaySettings",
    "KeySettings",
    "LimitSettings",
    "ReadingSettings",
    "RemoteSettings",
    "StreamSettings",
    "TimeoutSettings",
    "gateway_settings",
]

Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Count = Annotated[int, Field(ge=1)]
Host = Annotated[
    str, StringConstraints(strict=True, pattern=r"^(\*|(\*\.)?[A-Za-z0-9][A-Za-z0-9.:-]{0,252})$")
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamSettings(_Section):
    """How streams are held back (see ``streaming.Hold``)."""

    mode: Mode = Mode.WINDOW
    first: Count = 120
    step: Count = 480
    context: Annotated[int, Field(ge=0)] = 240
    look_ahead: Annotated[int, Field(ge=0)] = 80
    heartbeat: Seconds = 10.0
    """Seconds of silence after which a comment keeps the connection alive."""

    def hold(self) -> Hold:
        """The same as the guard takes it."""
        return Hold(self.mode, self.first, self.step, self.context, self.look_ahead)


class BatchingSettings(_Section):
    """How concurrent requests are judged together."""

    max_batch: Count = 32
    max_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 2.0
    max_queue: Count = 1024
    """Judgements that may wait; more are answered with 429."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Batches judged at the same time."""
    timeout: Seconds = 60.0
    """Seconds a judgement may take, waiting included, before it counts as failed."""


class LimitSettings(_Section):
    """What one request may hold, and how many are served at once."""

    body_mb: Annotated[float, Field(gt=0)] = 32.0
    body_seconds: Seconds = 30.0
    """Seconds a client may take to send its request."""
    answer_chars: Count = 2_000_000
    messages: Count = 2048
    images: Count = 32
    choices: Count = 16
    concurrent: Count = 512
    batch: Count = 256
    """Exchanges or texts in one request to the judging routes."""


class ReadingSettings(_Section):
    """How images and recordings are read."""

    seconds: Seconds = 60.0
    """Longest that the media of one request may take, waiting included; then they count as not read."""
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    """Requests whose media are read at the same time."""


class RemoteSettings(_Section):
    """Images fetched from the web so that they can be read; without this section none is."""

    hosts: Annotated[tuple[Host, ...], Field(min_length=1)]
    """Names that images may come from: ``pics.example.com``, ``*.example.com``, ``*`` for any public one."""
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (80, 443)
    max_mb: Annotated[float, Field(gt=0, le=1000)] = 10.0
    seconds: Seconds = 10.0
    """Longest that one image may take, redirects included."""
    redirects: Annotated[int, Field(ge=0, le=20)] = 3


class TimeoutSettings(_Section):
    """Seconds granted to the upstream and to clients."""

    connect: Seconds = 5.0
    read: Seconds = 120.0
    """Longest silence of the upstream."""
    idle: Annotated[float, Field(ge=1, le=3600)] = 10.0
    """How long a client's connection may go without a whole request head (``serve`` only)."""
    shutdown: Seconds = 20.0
    """What running requests get before the server ends them."""


class AuditSettings(_Section):
    """Where verdicts are kept; no client can switch it off."""

    path: Name
    """SQLite file; a relative path is taken from the working folder."""
    text: Annotated[str, StringConstraints(pattern="^(none|hash|full)$")] = "hash"
    """What is kept of prompts and answers."""
    retention_days: Annotated[float, Field(gt=0)] | None = None
    """Older verdicts are deleted; None keeps all."""


class KeySettings(_Section):
    """A client of ours, known by its key."""

    name: Name
    key_env: Name
    """Environment variable that holds the key."""
    policies: tuple[Name, ...] = ()
    """Policies it may ask for; the first is its default. Empty: the gateway's default only."""
    requests_per_minute: Count | None = None
    concurrent: Count | None = None


class GatewaySettings(_Section):
    """The whole section."""

    upstream: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$")] = "http://127.0.0.1:8000"
    upstream_key_env: Name | None = None
    """Environment variable with the key sent upstream instead of the client's."""
    policies: dict[Name, Name] = Field(default_factory=dict)
    """Name -> shipped policy or file, for requests that ask for another policy than the default."""
    keys: tuple[KeySettings, ...] = ()
    """Clients that are served; empty serves everybody and forwards their authorization."""
    strict: bool = False
    """Answer refusals with 400 ``content_filter`` instead of a refusal as content."""
    unread: Annotated[str, StringConstraints(pattern="^(report|refuse)$")] = "report"
    """What happens if a part of the request (an image, a recording) could not be read: the answer is judged
    without it and says ``not_run``, or the request is refused."""
    reload_seconds: Seconds = 2.0
    stream: StreamSettings = StreamSettings()
    batching: BatchingSettings = BatchingSettings()
    reading: ReadingSettings = ReadingSettings()
    remote_images: RemoteSettings | None = None
    """Where images may be fetched from; None fetches none."""
    limits: LimitSettings = LimitSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    audit: AuditSettings | None = None

    def base_url(self) -> str:
        """The upstream's address, ending in ``/v1``."""
        base = self.upstream.rstrip("/")
        return base if base.endswith("/v1") else base + "/v1"


def gateway_settings(section: dict[str, Any], **overrides: Any) -> GatewaySettings:
    """Return the settings of a ``gateway:`` section; ``overrides`` that are not None win.

    Raises:
        ConfigError: a key is unknown or malformed, or a named environment variable is not set.
    """
    given = dict(section) | {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = GatewaySettings.model_validate(given)
    except ValidationError as error:
        raise ConfigError(f"gateway: {_explain(error)}") from error
    for variable in [key.key_env for key in settings.keys] + [settings.upstream_key_env or ""]:
        if variable and not os.environ.get(variable):
            raise ConfigError(f"gateway: the environment variable {variable} is not set; export it first")
    names = [key.name for key in settings.keys]
    if len(set(names)) < len(names):
        raise ConfigError("gateway: two keys have the same name; rename one")
    return settings


def _explain(error: ValidationError) -> str:
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg'].lower()}"
    known: Any = GatewaySettings
    for part in first["loc"][:-1]:
        if isinstance(part, str):
            known = known.model_fields[part].annotation
            known = next((t for t in get_args(known) if hasattr(t, "model_fields")), known)
    return f"unknown key {where!r}{nearest(str(first['loc'][-1]), known.model_fields)}"
