"""The OpenAI-compatible chat model over a real local server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mllm_protector.backends.chat_models.openai import OpenAIChatModel, messages_of
from mllm_protector.errors import BackendError, ConfigError
from mllm_protector.types import Image, Query, Turn

Reply = tuple[int, dict[str, str], Any]


class Server:
    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.bodies.append(body)
                server.headers.append({k.lower(): v for k, v in self.headers.items()})
                status, headers, content = server.replies.pop(0) if server.replies else ok(said(body))
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def said(body: dict[str, Any]) -> str:
    return f"you said {body['messages'][-1]['content']}"


def ok(content: Any, **message: Any) -> Reply:
    usage = {"prompt_tokens": 10, "completion_tokens": 4}
    return 200, {}, {"choices": [{"message": {"content": content, **message}}], "usage": usage}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


Make = Callable[..., OpenAIChatModel]


@pytest.fixture
def make(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    made: list[OpenAIChatModel] = []
    monkeypatch.setenv("TEST_KEY", "secret-key-1")

    def build(**options: Any) -> OpenAIChatModel:
        given = {"base_url": server.url, "api_key_env": "TEST_KEY", "sleep": lambda _: None, **options}
        made.append(OpenAIChatModel("m", **given))
        return made[-1]

    yield build
    for model in made:
        model.close()


def test_many_are_answered_in_order_and_counted(make: Make) -> None:
    model = make(prices=(1.0, 10.0))
    queries = [Query(f"question {n}") for n in range(20)]
    assert model.generate(queries) == [f"you said question {n}" for n in range(20)]
    assert model.generate([]) == []
    usage = model.usage
    assert (usage.requests, usage.prompt_tokens, usage.completion_tokens) == (20, 200, 80)
    assert usage.cost == pytest.approx((200 * 1 + 80 * 10) / 1e6)


def test_what_is_sent(server: Server, make: Make) -> None:
    query = Query("What is it?", (Image(b"\x89PNG", "image/png"),), (Turn("assistant", "Hello."),))
    make(system="Be kind.", seed=3, extra={"top_p": 0.5}).generate([query])
    body = server.bodies[0]
    assert (body["model"], body["seed"], body["temperature"], body["top_p"]) == ("m", 3, 0.0, 0.5)
    assert body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "assistant", "content": "Hello."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                {"type": "text", "text": "What is it?"},
            ],
        },
    ]
    assert server.headers[0]["authorization"] == "Bearer secret-key-1"


def test_a_picture_may_stand_alone() -> None:
    (message,) = messages_of(Query("", (Image(b"\x89PNG", "image/png"),)))
    assert [part["type"] for part in message["content"]] == ["image_url"]


def test_rate_limits_and_hiccups_are_waited_out(server: Server, make: Make) -> None:
    waits: list[float] = []
    server.replies = [(429, {"retry-after": "7"}, {}), (503, {"retry-after": "soon"}, b"busy"), ok("fine")]
    assert make(sleep=waits.append).generate([Query("q")]) == ["fine"]
    assert waits[0] == 7.0 and 0.5 <= waits[1] <= 1.0


def test_a_long_wait_is_cut(server: Server, make: Make) -> None:
    waits: list[float] = []
    server.replies = [(429, {"retry-after": "86400"}, {}), ok("fine")]
    assert make(sleep=waits.append).generate([Query("q")]) == ["fine"]
    assert waits == [60.0]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((500, {}, b"boom"), r"answers 500: boom \(tried 3 times\)"),
        ((400, {}, {"error": "bad secret-key-1"}), r"answers 400: .*\[key\]"),
        ((401, {}, {}), "wants a key .401.: TEST_KEY is set, but refused"),
        ((404, {}, {}), "has no model 'm'"),
        ((200, {}, b"<html>hello</html>"), "answers no JSON .*is it the base of an API"),
        ((200, {}, {"choices": []}), "without choices"),
        ((200, {}, [1]), "without choices"),
        ((200, {}, {"choices": [{"message": {"content": 5}}]}), "without choices"),
        ((200, {}, b" " * (17 * 2**20)), "more than 16 MiB"),
        ((302, {"location": "http://10.0.0.1/"}, b""), "answers 302"),
    ],
)
def test_faults_are_told_and_the_key_is_not(server: Server, make: Make, reply: Reply, words: str) -> None:
    server.replies = [reply] * 3
    with pytest.raises(BackendError, match=words) as caught:
        make(retries=2).generate([Query("q")])
    assert "secret-key-1" not in str(caught.value)


def test_refusals_parts_and_silence_are_answers(server: Server, make: Make) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    server.replies = [ok(None, refusal="I can't."), ok(parts), ok("")]
    assert [make().generate([Query("q")])[0] for _ in range(3)] == ["I can't.", "ab", ""]


def test_nobody_there(make: Make) -> None:
    with pytest.raises(BackendError, match=r"tried 2 times"):
        make(base_url="http://127.0.0.1:9/v1", retries=1).generate([Query("q")])


def test_bad_settings_end_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="such as http://localhost"):
        OpenAIChatModel("m")
    with pytest.raises(ConfigError, match="at least 1"):
        OpenAIChatModel("m", "http://localhost", concurrency=0)


def test_a_request_of_ones_own_gets_the_whole_reply(server: Server, make: Make) -> None:
    server.replies = [(200, {}, {"choices": [{"text": "x"}], "usage": {"prompt_tokens": 3}})]
    model = make(path="/completions", max_tokens=9)
    reply = model.request({"prompt": "p", "max_tokens": 1})
    assert reply["choices"] == [{"text": "x"}] and model.usage.prompt_tokens == 3
    assert server.bodies[0] == {"model": "m", "prompt": "p", "max_tokens": 1, "temperature": 0.0}
