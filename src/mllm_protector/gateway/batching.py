"""Gathers concurrent requests into batches and judges them in threads, off the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from mllm_protector.errors import BackendError
from mllm_protector.gateway.problems import overloaded
from mllm_protector.gateway.settings import BatchingSettings
from mllm_protector.protector import Protector
from mllm_protector.types import Detection, Exchange, Protection

__all__ = ["Batcher"]

_T = TypeVar("_T")
_MOST_CHARS = 200_000
_MOST_HUNG = 4


@dataclass(slots=True, eq=False)
class _Job:
    protector: Protector
    detect: bool
    exchange: Exchange
    future: asyncio.Future[Any]


class Batcher:
    """One queue in front of the models.

    A batch starts as soon as a thread is free and either ``max_batch`` judgements wait or the oldest
    has waited ``max_wait_ms``; while all threads are busy the queue grows into the next batch. Equal
    judgements of one batch are made once. Use it as an async context manager.

    A batch that takes longer than ``timeout`` fails its requests and its thread is given up; after four
    of those the batcher refuses work, and ``healthy`` is False: a hung back-end does not come back.

    Args:
        settings: sizes and times.
        observe: told (batch size, seconds) after each batch.
    """

    def __init__(
        self, settings: BatchingSettings, observe: Callable[[int, float], None] = lambda _n, _s: None
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._queue: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._free = asyncio.Semaphore(settings.threads)
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="judge")
        self._hung = 0
        self._running: set[asyncio.Task[None]] = set()
        self._gatherer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Batcher:
        self._gatherer = asyncio.create_task(self._gather())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._running, *([self._gatherer] if self._gatherer else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(
            *self._running, *([self._gatherer] if self._gatherer else []), return_exceptions=True
        )
        for job in self._queue:
            job.future.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def healthy(self) -> bool:
        """False once too many batches hung."""
        return self._hung < _MOST_HUNG

    @property
    def waiting(self) -> int:
        """Judgements in the queue."""
        return len(self._queue)

    async def detect(self, protector: Protector, exchanges: Sequence[Exchange]) -> list[Detection]:
        """Judge exchanges as ``protector`` does.

        Raises:
            BackendError: the detector failed or timed out.
            RequestError: 429; too much waits.
        """
        return await self._submit(protector, exchanges, detect=True)

    async def protect(self, protector: Protector, exchanges: Sequence[Exchange]) -> list[Protection]:
        """Guard exchanges as ``protector`` does; raises what ``detect`` raises, for a time-out only."""
        return await self._submit(protector, exchanges, detect=False)

    async def _submit(
        self, protector: Protector, exchanges: Sequence[Exchange], *, detect: bool
    ) -> list[Any]:
        if not self.healthy:
            raise BackendError("the detector hangs; restart the gateway")
        if len(self._queue) + len(exchanges) > self._settings.max_queue:
            raise overloaded(f"{len(self._queue)} judgements wait already")
        loop = asyncio.get_running_loop()
        jobs = [_Job(protector, detect, exchange, loop.create_future()) for exchange in exchanges]
        self._queue.extend(jobs)
        self._wake.set()
        try:
            async with asyncio.timeout(self._settings.timeout):
                return [await job.future for job in jobs]
        except TimeoutError as error:
            raise BackendError(f"no judgement within {self._settings.timeout:g} s") from error
        finally:
            for job in jobs:
                job.future.cancel()

    async def _gather(self) -> None:
        while True:
            await self._free.acquire()
            await self._wait_for_jobs()
            batch = self._take()
            if not batch:
                self._free.release()
                continue
            task = asyncio.create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _wait_for_jobs(self) -> None:
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()
        until = asyncio.get_running_loop().time() + self._settings.max_wait_ms / 1000
        while len(self._queue) < self._settings.max_batch:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _take(self) -> list[_Job]:
        batch: list[_Job] = []
        size = 0
        while self._queue and len(batch) < self._settings.max_batch:
            job = self._queue[0]
            size += len(job.exchange.response)
            if batch and size > _MOST_CHARS:
                break
            self._queue.popleft()
            if not job.future.done():  # its client went away, or it timed out
                batch.append(job)
        return batch

    async def _run(self, batch: list[_Job]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        pool = self._pool
        try:
            async with asyncio.timeout(self._settings.timeout):
                results = await loop.run_in_executor(pool, _judge, batch)
        except TimeoutError:
            self._hung += 1
            self._pool = ThreadPoolExecutor(self._settings.threads, thread_name_prefix="judge")
            pool.shutdown(wait=False)
            failure = BackendError(f"no judgement within {self._settings.timeout:g} s")
            results = [failure] * len(batch)
        finally:
            self._free.release()
        self._observe(len(batch), loop.time() - started)
        for job, result in zip(batch, results, strict=True):
            if job.future.done():
                continue
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)


def _judge(batch: Sequence[_Job]) -> list[Any]:
    """Judge a batch in the calling thread: one call per protector and kind, equal exchanges once."""
    groups: dict[tuple[int, bool], list[_Job]] = {}
    for job in batch:
        groups.setdefault((id(job.protector), job.detect), []).append(job)
    results: dict[int, Any] = {}
    for (_, detect), jobs in groups.items():
        unique = list(dict.fromkeys(job.exchange for job in jobs))
        call = jobs[0].protector.detect if detect else jobs[0].protector.protect
        found = dict(zip(unique, _each(call, unique), strict=True))
        results.update((id(job), found[job.exchange]) for job in jobs)
    return [results[id(job)] for job in batch]


def _each(
    call: Callable[[list[Exchange]], Sequence[_T]], exchanges: list[Exchange]
) -> Sequence[_T | Exception]:
    """Call on all at once; if that fails, on each, so that one bad exchange fails alone."""
    try:
        return call(exchanges)
    except Exception as error:  # noqa: BLE001 (whatever it is, the request's failure policy decides)
        if len(exchanges) == 1:
            return [error if isinstance(error, BackendError) else BackendError(str(error))]
        return [result for exchange in exchanges for result in _each(call, [exchange])]
