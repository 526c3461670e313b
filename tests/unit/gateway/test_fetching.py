"""Remote images: fetched from real servers, and never from where a gateway must not go."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mllm_protector.errors import InputError
from mllm_protector.gateway.fetching import Fetcher, is_public, resolve
from mllm_protector.gateway.settings import RemoteSettings
from mllm_protector.types import Image

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 2, 2)
BOMB = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 60_000, 60_000)
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by the path; what was asked is kept."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["host"]))
        self.server.answers[self.path](self)

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    answers: dict[str, Answer]
    asked: list[tuple[str, str]]

    def handle_error(self, *_: object) -> None:
        pass  # the client went away, as it should


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), Handler)
    found.answers, found.asked = {}, []
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()


class Names:
    """A resolver whose every answer is scripted; the last one is repeated."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        known = self.answers.get(host.partition(".")[0], [["127.0.0.1"]])
        return known.pop(0) if len(known) > 1 else known[0]


def loopback(address: str) -> bool:
    return address == "127.0.0.1"


def fetch(url: str, server: Server, names: Any = None, allowed: Any = loopback, **settings: Any) -> Image:
    given = {"hosts": ("*",), "ports": (server.server_port,), **settings}

    async def go() -> Image:
        fetcher = Fetcher(RemoteSettings(**given), names or Names(), allowed)
        try:
            return await fetcher.fetch(url.replace("PORT", str(server.server_port)))
        finally:
            await fetcher.close()

    return asyncio.run(go())


def test_an_image_is_fetched_from_the_checked_address_under_its_name(server: Server) -> None:
    server.answers["/a.png?x=1"] = lambda h: h.send(PNG, content_type="text/plain")
    found = fetch("http://pics.example:PORT/a.png?x=1", server)
    assert found == Image(PNG, "image/png"), "the type is that of the bytes"
    assert server.asked == [("/a.png?x=1", f"pics.example:{server.server_port}")]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "168.63.129.16", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8",
        "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "64:ff9b::7f00:1",
        "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1", "2001:db8::1", "3fff::1", "100::1", "localhost", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_open_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111"])
def test_addresses_of_the_open_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::1]",
        "[::ffff:127.0.0.1]",
    ],
)  # fmt: skip
def test_this_machine_in_any_spelling_is_refused(server: Server, host: str) -> None:
    server.answers["/"] = lambda h: h.send(PNG)
    with pytest.raises(InputError, match=r"public address|could not be fetched"):
        fetch(f"http://{host}:PORT/", server, names=resolve, allowed=is_public)
    assert server.asked == []


def test_a_name_with_one_address_inside_is_refused(server: Server) -> None:
    names = Names(mixed=[["8.8.8.8", "10.0.0.1"]])
    with pytest.raises(InputError, match="public address"):
        fetch("http://mixed.example:PORT/", server, names, is_public)
    with pytest.raises(InputError, match="public address"):
        fetch("http://none.example:PORT/", server, Names(none=[[]]), is_public)


def test_a_name_that_answers_differently_the_second_time_gains_nothing(server: Server) -> None:
    """Rebinding: the checked address is connected to, and the name is not asked again."""
    server.answers["/"] = lambda h: h.send(PNG)
    names = Names(rebind=[["127.0.0.1"], ["10.0.0.1"]])
    assert fetch("http://rebind.example:PORT/", server, names).data == PNG
    assert names.asked == ["rebind.example"]


def test_redirects_are_checked_like_the_first_address(server: Server) -> None:
    port = server.server_port
    server.answers["/a"] = lambda h: h.send(b"", 302, location="/b")
    server.answers["/b"] = lambda h: h.send(b"", 307, location=f"http://other.example:{port}/c")
    server.answers["/c"] = lambda h: h.send(PNG)
    assert fetch("http://pics.example:PORT/a", server).data == PNG
    assert [host for _, host in server.asked] == [f"pics.example:{port}"] * 2 + [f"other.example:{port}"]
    for target, why in {
        f"http://inside.example:{port}/c": "public address",
        "http://pics.example:22/": "ports",
        "file:///etc/passwd": "http and https",
        f"http://root:secret@pics.example:{port}/c": "user name",
    }.items():
        server.answers["/a"] = lambda h, target=target: h.send(b"", 301, location=target)  # type: ignore[misc]
        with pytest.raises(InputError, match=why):
            fetch("http://pics.example:PORT/a", server, Names(inside=[["10.0.0.1"]]))
    server.answers["/a"] = lambda h: h.send(b"", 302, location="/a")
    with pytest.raises(InputError, match="more than 3 redirects"):
        fetch("http://pics.example:PORT/a", server)


@pytest.mark.parametrize(
    ("url", "hosts", "why"),
    [
        ("http://evil.example:PORT/", ("pics.example",), "remote_images.hosts"),
        ("http://pics.example.evil.example:PORT/", ("pics.example",), "remote_images.hosts"),
        ("http://evilpics.example:PORT/", ("*.pics.example",), "remote_images.hosts"),
        ("http://pics.example:1/", ("pics.example",), "remote_images.ports"),
        ("ftp://pics.example/", ("*",), "http and https"),
        ("gopher://pics.example:PORT/", ("*",), "http and https"),
        ("http:///a", ("*",), "http and https"),
        ("http://" + "a" * 70_000, ("*",), "could not be fetched"),
    ],
)
def test_what_the_configuration_does_not_name(
    server: Server, url: str, hosts: tuple[str, ...], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        fetch(url, server, hosts=hosts)
    assert server.asked == []


def test_hosts_by_name_and_by_domain(server: Server) -> None:
    server.answers["/"] = lambda h: h.send(PNG)
    for host in ("PICS.example", "a.b.cdn.example"):
        assert fetch(f"http://{host}:PORT/", server, hosts=("pics.example", "*.cdn.example")).data == PNG


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(PNG + b"x" * 100_000)


def slow(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):  # a byte now and then: never silent for long, never done
        handler.wfile.write(b"x")
        handler.wfile.flush()
        threading.Event().wait(0.05)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (endless, r"over remote_images.max_mb \(1\)"),
        (slow, "did not arrive within 0.4 s"),
        (lambda h: h.send(b"<html>"), "not an image"),
        (lambda h: h.send(b""), "not an image"),
        (lambda h: h.send(BOMB), "megapixels"),
        (lambda h: h.send(PNG, content_encoding="gzip"), "packed"),
        (lambda h: h.send(PNG, 404), "could not be fetched"),
        (lambda h: h.send(PNG, 302), "could not be fetched"),
        (lambda h: h.wfile.write(b"nonsense\r\n\r\n"), "could not be fetched"),
    ],
    ids=["endless", "slow", "no image", "empty", "bomb", "packed", "404", "nowhere", "no HTTP"],
)
def test_what_a_server_can_answer(server: Server, answer: Answer, why: str) -> None:
    server.answers["/"] = answer
    with pytest.raises(InputError, match=why):
        fetch("http://pics.example:PORT/", server, max_mb=1, seconds=0.4)


def test_a_dead_address_gives_way_to_the_next(server: Server) -> None:
    server.answers["/"] = lambda h: h.send(PNG)
    names = Names(two=[["::1", "127.0.0.1"]])  # nobody listens on the first
    allowed = ("::1", "127.0.0.1").__contains__
    assert fetch("http://two.example:PORT/", server, names, allowed).data == PNG
    with pytest.raises(InputError, match="could not be fetched"):
        fetch("http://two.example:PORT/", server, Names(two=[["::1"]]), allowed)


def test_tls_is_asked_for_the_name_and_not_for_the_address() -> None:
    """The certificate has to be that of the name, though the connection goes to a checked address."""
    hello: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def greet() -> None:
            with listener.accept()[0] as connection:
                hello.append(connection.recv(4096))

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()

        async def go() -> None:
            fetcher = Fetcher(RemoteSettings(hosts=("*",), ports=(port,)), Names(), loopback)
            try:
                await fetcher.fetch(f"https://pics.example:{port}/")
            finally:
                await fetcher.close()

        with pytest.raises(InputError, match="could not be fetched"):
            asyncio.run(go())
        thread.join(10)
    assert b"pics.example" in hello[0]
