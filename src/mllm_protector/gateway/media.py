"""Reads what a request holds beside text while the upstream generates: fetched, read, heard, or reported."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from mllm_protector.errors import InputError
from mllm_protector.gateway.fetching import Fetcher
from mllm_protector.gateway.metrics import Metrics
from mllm_protector.gateway.parts import Able, Medium, Parts, Remote, media_parts, read_parts
from mllm_protector.gateway.problems import RequestError
from mllm_protector.gateway.settings import GatewaySettings
from mllm_protector.protector import Protector
from mllm_protector.reading import Reading
from mllm_protector.types import Image, Query, Recording

__all__ = ["MediaReader", "Seen"]

_log = logging.getLogger("mllm_protector.gateway")
_MOST_HUNG = 4
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the answer is judged with.

    Attributes:
        query: what was asked, with the text of its media and without the media themselves.
        not_run: the parts that were not read, and why.
    """

    query: Query
    not_run: tuple[str, ...] = ()


class MediaReader:
    """The reading half of the gateway; for one event loop.

    A back-end that does not come back within the time is left behind in its thread, its media count as not
    read, and after four of those nothing is read until one comes back.

    Args:
        settings: times, what may be fetched, and what happens with what is not read.
        metrics: counters.
        fetcher: for tests, which have no internet.
    """

    def __init__(self, settings: GatewaySettings, metrics: Metrics, fetcher: Fetcher | None = None) -> None:
        remote = settings.remote_images
        self._fetcher = fetcher or (None if remote is None else Fetcher(remote))
        self._settings, self._metrics = settings, metrics
        self._free = asyncio.Semaphore(settings.reading.threads)
        self._hung = 0

    async def close(self) -> None:
        """Close what was opened to fetch."""
        if self._fetcher is not None:
            await self._fetcher.close()

    async def parts(self, protector: Protector, messages: Sequence[Any]) -> Parts:
        """Return what chat messages hold beside text, and account for what cannot be read.

        Raises:
            RequestError: 422; something cannot, and the gateway refuses that.
        """
        able = Able(
            images=protector.image_reader is not None,
            recordings=protector.transcriber is not None,
            remote=self._fetcher is not None,
        )
        if next(media_parts(messages), None) is None:
            return Parts()
        parts = await asyncio.to_thread(read_parts, messages, able)  # megabytes may have to be decoded
        self.account(parts.not_run)
        return parts

    def account(self, not_run: Sequence[str]) -> None:
        """Count parts that were not read.

        Raises:
            RequestError: 422; there are some, and the gateway refuses that.
        """
        if not_run:
            self._metrics.not_run.inc(len(not_run))
            if self._settings.unread == "refuse":
                raise RequestError(
                    422, "unreadable_part", f"{not_run[0]}; this gateway refuses what it cannot read"
                )

    async def read(self, protector: Protector, query: Query, parts: Parts) -> Seen:
        """Return the query with what was read in its parts; what failed is told and not raised."""
        media, failed = await self._fetched(parts.media)
        images = [m for m in media if isinstance(m.content, Image)]
        heard = [m for m in media if isinstance(m.content, Recording)]
        if not media:
            return Seen(query, (*parts.not_run, *failed))
        asked = replace(
            query,
            images=tuple(m.content for m in images if isinstance(m.content, Image)),
            recordings=tuple(m.content for m in heard if isinstance(m.content, Recording)),
        )
        try:
            (reading,) = await self._in_thread(lambda: protector.read([asked]))
        except Exception as error:  # noqa: BLE001 (whatever happened, nothing was read)
            _log.error("the media of a request could not be read: %s", error)
            why = str(error) if isinstance(error, TimeoutError) else type(error).__name__
            return Seen(query, (*parts.not_run, *failed, *(f"{m.where}: {why}" for m in media)))
        failed += _failures(reading, {"images": images, "recordings": heard})
        read = replace(reading.query, images=(), recordings=())
        if protector.policy.planted(read):
            self._metrics.planted.inc()
        return Seen(read, (*parts.not_run, *failed))

    async def _fetched(self, media: Sequence[Medium]) -> tuple[list[Medium], list[str]]:
        """Return the media with remote ones in place of their addresses, and what could not be fetched."""

        async def one(medium: Medium) -> Medium | str:
            if not isinstance(medium.content, Remote):
                return medium
            assert self._fetcher is not None, "parts are only remote where they may be fetched"
            try:
                return Medium(medium.where, await self._fetcher.fetch(medium.content.url))
            except InputError as error:
                return f"{medium.where}: {error}"

        found = await asyncio.gather(*(one(medium) for medium in media))
        return [m for m in found if isinstance(m, Medium)], [m for m in found if isinstance(m, str)]

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        """Call in a thread of its own, so that one that hangs holds nothing but itself.

        Raises:
            TimeoutError: it did not come back in time, or too many did not.
        """
        if self._hung >= _MOST_HUNG:
            raise TimeoutError("the reader hangs")
        loop = asyncio.get_running_loop()
        seconds = self._settings.reading.seconds
        done: asyncio.Future[_T] = loop.create_future()
        begun = left = False

        def settle(result: _T | None, error: BaseException | None) -> None:
            if left:
                self._hung -= 1
            else:
                self._free.release()
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # there is a result where there is no error

        def run() -> None:
            result: _T | None = None
            failure: BaseException | None = None
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 (it belongs to whoever waits)
                failure = error
            with suppress(RuntimeError):  # the loop has stopped: nobody waits
                loop.call_soon_threadsafe(settle, result, failure)

        try:
            async with asyncio.timeout(seconds):
                await self._free.acquire()
                begun = True
                threading.Thread(target=run, name="read", daemon=True).start()
                return await done
        except TimeoutError as error:
            if begun and done.cancelled():  # by the clock; the thread is still at it
                left = True
                self._hung += 1
                self._free.release()
            raise TimeoutError(f"it was not read within {seconds:g} s") from error
        finally:
            done.cancel()  # nobody waits any more, whatever comes


def _failures(reading: Reading, media: Mapping[str, Sequence[Medium]]) -> list[str]:
    told = []
    for part, error in reading.failures.items():
        kind, _, place = part.rstrip("]").partition("[")
        _log.error("a part could not be read: %s", type(error).__name__)
        told.append(f"{media[kind][int(place)].where}: the reader failed ({type(error).__name__})")
    return told
