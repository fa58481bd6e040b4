"""What API and pages share of a request: where it came from, and the one way from the event loop to work that blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import Request

from leafloop.errors import Stopping
from leafloop.live import once
from leafloop.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

# Threads beside those that hold photos: enough for reads, and for telling a photo at once that all places are taken.
SMALL_WORK = 16


def threads(settings: Settings) -> int:
    """As many threads as photos may be under way, and `SMALL_WORK` more."""
    return settings.max_waiting + SMALL_WORK


def limiter(settings: Settings) -> CapacityLimiter:
    """What keeps all blocking work within its threads."""
    return CapacityLimiter(threads(settings))


def refuse_photo_early(request: Request) -> None:
    """Before a photo's body is read: raise `Stopping`, and `Overloaded` when no photo at all would be taken on now."""
    if request.app.state.stopping:
        raise Stopping
    request.app.state.parts.answering.refuse_when_full()


async def in_thread(request: Request, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread; its context variables (the request's id in log lines) go along.

    While a twin of the request is at work it waits here, on the event loop, and takes a thread for each look alone: however many
    twins wait, the threads are there for everybody else.
    """
    limiter: CapacityLimiter = request.app.state.limiter
    waits = once.pauses()
    while True:
        try:
            return await anyio.to_thread.run_sync(partial(work, *args, **kwargs), limiter=limiter)
        except once.UnderWay as twin:
            await _until_over(twin, waits, limiter)


async def _until_over(twin: once.UnderWay, waits: Iterator[float], limiter: CapacityLimiter) -> None:
    for pause in waits:
        await anyio.sleep(pause)
        if await anyio.to_thread.run_sync(twin.is_over, limiter=limiter):
            return


def address(request: Request) -> str:
    """Where a request came from; behind a proxy, what uvicorn was told to believe of it."""
    return request.client.host if request.client else "unknown"
