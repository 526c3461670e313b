"""Load on the gateway: requests per second, latency and time to first byte, against the bare upstream.

    python benchmarks/gateway.py [--seconds S] [--clients 1 16 64 256] [--sentences N] [--generator wrk]
    python benchmarks/gateway.py --soak 50000 [--detector scripted]

A recorded upstream (one answer, sent at once or word by word) and the gateway with the embedded detector run
in processes of their own on loopback; the load comes from this one, closed loop: each client asks again as
soon as it was answered. The bare detector over the same answers, in batches of 32, is the baseline for
throughput. All on one machine, so the load generator and the upstream take their share of the cores: read
the ratios. ``direct`` is the upstream without the gateway. The generator is Python, which needs more time
for a request than the gateway adds to it; ``--generator wrk`` takes wrk (Debian: apt-get install wrk), which
does not tell the time to first byte.

``--soak N`` sends N requests, streamed and not, and tells the gateway's memory along the way; with
``--detector scripted`` it needs minutes, since nothing is judged by a model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

TEXT = (
    "Water the fern from below, in a bowl, and let it stand for ten minutes. Then pour away what is left. "
    "In winter it needs less, and a place without draughts. Brown tips say that the air is too dry. "
)
_UPSTREAM, _GATEWAY = 8191, 8192  # ports
_LUA = """
local asked = 0
request = function()
  asked = asked + 1
  local message = '{"role": "user", "content": "%(prompt)s (' .. asked .. ')"}'
  local body = '{"messages": [' .. message .. '], "stream": %(stream)s}'
  return wrk.format("POST", "/v1/chat/completions", {["content-type"] = "application/json"}, body)
end
done = function(summary, latency)
  local e = summary.errors
  print(string.format('{"requests": %%d, "rate": %%f, "p50": %%f, "p99": %%f, "errors": %%d}',
    summary.requests, 1e6 * summary.requests / summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
MESSAGES = [{"role": "user", "content": "How do I water a fern?"}]


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--sentences", type=int, default=4, help="of the answer, about 18 words each")
    parser.add_argument("--generator", choices=["python", "wrk"], default="python")
    parser.add_argument("--detector", choices=["embedded", "scripted"], default="embedded")
    parser.add_argument("--soak", type=int, metavar="N", help="send N requests and watch the memory")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", choices=["upstream", "scripted"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve == "upstream":
        _serve_upstream(_UPSTREAM, options.sentences)
    elif options.serve == "scripted":
        _serve_scripted()
    elif options.soak:
        _soak(options)
    else:
        _table(options)


def _table(options: argparse.Namespace) -> None:
    load = _loader(options)
    bare = _bare(options.sentences, options.seconds)
    print(f"bare detector, batches of 32, distinct prompts: {bare:.1f} answers/s\n")
    print("| clients | stream | through | requests/s | p50 ms | p99 ms | first byte p50 ms | errors |")
    print("|---|---|---|---|---|---|---|---|")
    rows, lags = [], []
    with _running(options.sentences, options.detector) as (direct, gateway, pid):
        for stream in (False, True):
            for clients in options.clients:
                for name, url in (("direct", direct), ("gateway", gateway)):
                    found = load(url, clients, options.seconds, stream)
                    rows.append({"clients": clients, "stream": stream, "through": name} | found)
                    figures = " | ".join(f"{found[key]:.1f}" for key in ("rate", "p50", "p99", "first"))
                    kind = "yes" if stream else "no"
                    print(f"| {clients} | {kind} | {name} | {figures} | {found['errors']} |")
                    if name == "gateway":
                        lags.append(_metric(gateway, "mllm_protector_event_loop_lag_seconds"))
        print(f"\nevent loop lag right after each load: at most {1000 * max(lags):.1f} ms")
        print(f"gateway memory: {_memory(pid):.0f} MB")
    if options.json:
        options.json.write_text(json.dumps({"bare": bare, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def _bare(sentences: int, seconds: float) -> float:
    from mllm_protector import load_protector
    from mllm_protector.types import Exchange, Query

    guard = load_protector(threads=1)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        batch = [
            Exchange(Query(f"{MESSAGES[0]['content']} ({done + n})"), _text(sentences)) for n in range(32)
        ]
        guard.detect(batch)
        done += len(batch)
    return done / (time.perf_counter() - began)


def _text(sentences: int) -> str:
    return (TEXT * sentences)[: sentences * len(TEXT) // 4].strip()


def _load_wrk(url: str, clients: int, seconds: float, stream: bool) -> dict[str, Any]:
    """The same by wrk, one thread; its script numbers the prompts."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "ask.lua"
        script.write_text(_LUA % {"prompt": MESSAGES[0]["content"], "stream": str(stream).lower()})
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
        ran = subprocess.run([*command, "-s", str(script), url], capture_output=True, text=True, check=True)
    figures = json.loads(ran.stdout.splitlines()[-1])
    return {**figures, "first": float("nan")}


def _soak(options: argparse.Namespace) -> None:
    """Send many requests from 16 clients, whole and streamed by turns; print the memory every tenth."""
    due, sent, errors = options.soak // 10, 0, 0
    load = _loader(options)
    print("| requests | errors | memory MB | event loop lag ms |\n|---|---|---|---|", flush=True)
    with _running(options.sentences, options.detector) as (_, gateway, pid):
        while sent < options.soak:
            for stream in (False, True):
                found = load(gateway, 16, 1, stream)
                sent, errors = sent + found["requests"], errors + found["errors"]
            if sent >= due:
                lag = 1000 * _metric(gateway, "mllm_protector_event_loop_lag_seconds")
                print(f"| {sent} | {errors} | {_memory(pid):.1f} | {lag:.1f} |", flush=True)
                due += options.soak // 10


def _loader(options: argparse.Namespace) -> Callable[[str, int, float, bool], dict[str, Any]]:
    return _load_wrk if options.generator == "wrk" else lambda *given: asyncio.run(_load(*given))


async def _load(url: str, clients: int, seconds: float, stream: bool) -> dict[str, Any]:
    """Ask with ``clients`` at once for a while; prompts differ, so that nothing is judged once for two."""
    times: list[float] = []
    firsts: list[float] = []
    errors = 0
    ends = time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)

    async def client(session: httpx.AsyncClient, number: int) -> None:
        nonlocal errors
        asked = 0
        while time.perf_counter() < ends:
            asked += 1
            messages = [{"role": "user", "content": f"{MESSAGES[0]['content']} ({number}/{asked})"}]
            began, first = time.perf_counter(), 0.0
            try:
                async with session.stream(
                    "POST", f"{url}/v1/chat/completions", json={"messages": messages, "stream": stream}
                ) as reply:
                    async for _ in reply.aiter_bytes():
                        first = first or time.perf_counter() - began
                    errors += reply.status_code != 200
            except httpx.HTTPError:
                errors += 1
            times.append(time.perf_counter() - began)
            firsts.append(first)

    async with httpx.AsyncClient(timeout=120, limits=limits, trust_env=False) as session:
        began = time.perf_counter()
        await asyncio.gather(*(client(session, number) for number in range(clients)))
        took = time.perf_counter() - began
    ms = 1000 * np.array(times)
    return {
        "requests": len(times), "rate": len(times) / took,
        "p50": float(np.percentile(ms, 50)), "p99": float(np.percentile(ms, 99)),
        "first": float(1000 * np.percentile(firsts, 50)), "errors": errors,
    }  # fmt: skip


@contextmanager
def _running(sentences: int, detector: str) -> Iterator[tuple[str, str, int]]:
    own = [sys.executable, __file__, "--sentences", str(sentences), "--serve"]
    upstream = subprocess.Popen([*own, "upstream"])
    command = [sys.executable, "-m", "mllm_protector", "serve", "--threads", "1", "--port", str(_GATEWAY)]
    command += ["--upstream", f"http://127.0.0.1:{_UPSTREAM}"]
    if detector == "scripted":
        command = [*own, "scripted"]
    gateway = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    direct, guarded = f"http://127.0.0.1:{_UPSTREAM}", f"http://127.0.0.1:{_GATEWAY}"
    try:
        for url in (f"{direct}/v1/models", f"{guarded}/readyz"):
            _wait(url)
        yield direct, guarded, gateway.pid
    finally:
        for process in (gateway, upstream):
            process.terminate()
            process.wait(30)


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url} did not come up")


def _serve_scripted() -> None:
    """The gateway over a detector that takes no time: what is left is the gateway's own."""
    import uvicorn

    from mllm_protector import Protector, load_policy
    from mllm_protector.gateway.app import create_app
    from mllm_protector.gateway.protocol import Protocol
    from mllm_protector.gateway.settings import gateway_settings
    from mllm_protector.testing import ScriptedDetector

    settings = gateway_settings({"upstream": f"http://127.0.0.1:{_UPSTREAM}"})
    detector = ScriptedDetector()
    detector.calls = deque(maxlen=1)  # type: ignore[assignment]  # a double keeps them all otherwise
    app = create_app(Protector(detector, load_policy("default")), settings)
    uvicorn.run(app, port=_GATEWAY, log_level="error", access_log=False, http=Protocol)


def _serve_upstream(port: int, sentences: int) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    text = _text(sentences)
    message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    whole = json.dumps({"id": "1", "object": "chat.completion", "choices": [message]}).encode()
    events = [_event({"content": word + " "}, None) for word in text.split()] + [_event({}, "stop")]

    async def chat(request: Request) -> Response:
        if (await request.json()).get("stream"):
            return StreamingResponse(_each([*events, b"data: [DONE]\n\n"]), media_type="text/event-stream")
        return Response(whole, media_type="application/json")

    async def models(_: Request) -> Response:
        return JSONResponse({"data": []})

    routes = [Route("/v1/chat/completions", chat, methods=["POST"]), Route("/v1/models", models)]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="error")


async def _each(events: Sequence[bytes]) -> Any:
    for event in events:
        yield event


def _event(delta: dict[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': '1', 'choices': [choice]})}\n\n".encode()


def _metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def _memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return float("nan")
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
