"""What API and pages share of a request: where it came from, and the one way from the event loop to work that blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import Request

from leafloop.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

# Threads beside those that hold photos: enough for reads, and for telling a photo at once that all places are taken.
SMALL_WORK = 16


def limiter(settings: Settings) -> CapacityLimiter:
    """As many threads as photos may be under way, and `SMALL_WORK` more."""
    return CapacityLimiter(settings.max_waiting + SMALL_WORK)


async def in_thread(request: Request, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread; its context variables (the request's id in log lines) go along."""
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs), limiter=request.app.state.limiter)


def address(request: Request) -> str:
    """Where a request came from; behind a proxy, what uvicorn was told to believe of it."""
    return request.client.host if request.client else "unknown"
