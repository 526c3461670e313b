"""Fetches images that a request points to, without becoming a way into the network behind the gateway.

A name is resolved once, every address it has must be public, and the connection goes to the address that was
checked, so that a name which answers differently the second time gains nothing. Every redirect is a new
address and starts over. Size and time are enforced while the bytes come, and what came must be an image.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

import httpx

from mllm_protector.data.images import image_of
from mllm_protector.errors import InputError
from mllm_protector.gateway.settings import RemoteSettings
from mllm_protector.types import Image

__all__ = ["Fetcher", "is_public", "resolve"]

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_INTERNET_V6 = ipaddress.ip_network("2000::/3")
_DENIED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's host: public by its number only
        # What older versions of ``ipaddress`` take for global.
        "192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20",
    )
)  # fmt: skip


def is_public(address: str) -> bool:
    """True of an address of the open internet.

    False of private, loopback, link-local (cloud metadata), shared (CGNAT), multicast, reserved and
    documentation addresses, and of every IPv6 form that wraps an IPv4 address.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a scope id belongs to this machine's own links
        return False
    if any(ip in network for network in _DENIED) or not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in _INTERNET_V6 and ip.sixtofour is None and ip.teredo is None
    return True


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, or of a number in any of its spellings.

    Raises:
        OSError: it has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Fetcher:
    """Fetches images within the settings. Close it at the end.

    Args:
        settings: hosts, ports, sizes and times.
        resolver: how a name becomes addresses.
        allowed: which addresses may be connected to; for tests, which have only loopback.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        resolver: Resolver = resolve,
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        self._settings, self._resolve, self._allowed = settings, resolver, allowed
        self._most = int(settings.max_mb * 1_000_000)
        self._client = httpx.AsyncClient(
            # A connection belongs to the name whose certificate was checked; the pool knows only its address.
            limits=httpx.Limits(max_keepalive_connections=0, max_connections=64),
            timeout=settings.seconds,
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def fetch(self, url: str) -> Image:
        """Return the image at ``url``.

        Raises:
            InputError: it may not or could not be fetched, or is no image; without a word on the network.
        """
        try:
            async with asyncio.timeout(self._settings.seconds):
                return image_of(await self._follow(url), "what was fetched")
        except TimeoutError as error:
            raise InputError(f"the image did not arrive within {self._settings.seconds:g} s") from error
        except (OSError, httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise InputError("the image could not be fetched") from error

    async def _follow(self, url: str) -> bytes:
        at = httpx.URL(url)
        for _ in range(self._settings.redirects + 1):
            self._check(at)
            found = await self._get(at)
            if isinstance(found, bytes):
                return found
            at = at.join(found)
        raise InputError(f"the image is behind more than {self._settings.redirects} redirects")

    def _check(self, url: httpx.URL) -> None:
        if url.scheme not in _PORTS or not url.host or url.userinfo:
            raise InputError("only http and https addresses without a user name are fetched")
        if (url.port or _PORTS[url.scheme]) not in self._settings.ports:
            raise InputError("that port is not among remote_images.ports")
        if not any(_matches(url.host.lower().rstrip("."), known.lower()) for known in self._settings.hosts):
            raise InputError("that host is not among remote_images.hosts")

    async def _get(self, url: httpx.URL) -> bytes | str:
        """Return the body, or the address of a redirect."""
        addresses = await self._resolve(url.host, url.port or _PORTS[url.scheme])
        if not addresses or not all(self._allowed(address) for address in addresses):
            raise InputError("that host has no public address, or one that is not")
        for address in addresses[:-1]:
            try:
                return await self._ask(url, address)
            except httpx.ConnectError:
                continue
        return await self._ask(url, addresses[-1])

    async def _ask(self, url: httpx.URL, address: str) -> bytes | str:
        """Ask the checked address, as the name: in the Host header, and in the certificate it must show."""
        headers = {"host": url.netloc.decode("ascii"), "accept": "image/*", "accept-encoding": "identity"}
        pinned = url.copy_with(host=address)
        name = {"sni_hostname": url.raw_host.decode("ascii")}
        async with self._client.stream("GET", pinned, headers=headers, extensions=name) as response:
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return response.headers["location"]
            if response.status_code != 200:
                raise InputError("the image could not be fetched")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise InputError("the image came packed, which was not asked for")
            return await self._body(response)

    async def _body(self, response: httpx.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > self._most:
                raise InputError(f"the image is over remote_images.max_mb ({self._settings.max_mb:g})")
            parts.append(part)
        return b"".join(parts)


def _matches(host: str, known: str) -> bool:
    return known == "*" or host == known or (known.startswith("*.") and host.endswith(known[1:]))
