"""``mllm-protector serve``: the gateway in front of a model; found by name, so the core needs no server."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from mllm_protector.errors import MissingExtraError

__all__ = ["app", "application", "serve"]

app = typer.Typer(add_completion=False)

_LAST_WORDS = 2
"""Seconds that streams get to end properly once the time to shut down is over."""

_OPTIONS = "MLLM_PROTECTOR_SERVE"
_HELP = """Guard every answer of an OpenAI-compatible server: point your client here and change nothing else.

Examples:

    mllm-protector serve --upstream http://localhost:8000

    mllm-protector serve --config gateway.yaml --port 8100 --workers 4
"""


@app.command(help=_HELP)
def serve(
    upstream: Annotated[
        Optional[str],  # noqa: UP045 (typer reads it at run time)
        typer.Option("--upstream", metavar="URL", help="The model's server, with or without /v1."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 8100,
    policy: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--policy", metavar="NAME|FILE", help="Standard of safety. (default: default)"),
    ] = None,
    config: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--config", metavar="FILE", help="YAML with back-ends and a gateway section."),
    ] = None,
    threads: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--threads", min=1, max=256, help="CPU threads of the detector, per worker."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes.")] = 1,
) -> None:
    """Serve until interrupted."""
    try:
        import httpx  # noqa: F401
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn

        from mllm_protector.gateway.protocol import Protocol
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"serve needs {error.name}, which is missing; pip install 'mllm-protector[gateway]'"
        ) from error
    options = {
        "upstream": upstream,
        "policy": policy,
        "config": None if config is None else str(config),
        "threads": threads,
    }
    settings = _settings(options)  # a mistake shows here, not in a worker
    os.environ[_OPTIONS] = json.dumps(options)
    typer.echo(
        f"guarding {settings.base_url()} on http://{host}:{port}/v1 "
        f"(policy {policy or 'default'}, {settings.stream.mode.value} mode)",
        err=True,
    )
    uvicorn.run(
        f"{__name__}:application",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=Protocol,
        timeout_keep_alive=math.ceil(settings.timeouts.idle),
        timeout_graceful_shutdown=math.ceil(settings.timeouts.shutdown) + _LAST_WORDS,
    )


def application() -> Any:
    """Return the ASGI application that the environment describes; made by every worker."""
    from mllm_protector.assembly import build
    from mllm_protector.gateway.app import create_app

    options = json.loads(os.environ.get(_OPTIONS, "{}"))
    config = _config(options)
    protector = build(config, policy=options.get("policy"), threads=options.get("threads"))
    return create_app(protector, _settings(options), source=options.get("policy") or config.policy)


def _config(options: dict[str, Any]) -> Any:
    from mllm_protector.config import Config, load_config

    return load_config(options["config"]) if options.get("config") else Config()


def _settings(options: dict[str, Any]) -> Any:
    from mllm_protector.gateway.settings import gateway_settings

    return gateway_settings(_config(options).gateway, upstream=options.get("upstream"))
