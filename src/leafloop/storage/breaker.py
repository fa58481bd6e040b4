"""A circuit breaker: while a part is away nobody waits for it in vain. Knows neither the part nor what is asked of it.

One failed call shuts it: a call has tried several times by then, and a false alarm costs `ASK_AGAIN_S`. While it
is shut everybody is refused at once, but for one caller each `ASK_AGAIN_S`, who tries; whoever succeeds opens it for all.
Written here because pybreaker holds a lock around the call, so that photos would be stored one by one, and circuitbreaker has none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from leafloop import log, metrics

_log = log.get(__name__)

ASK_AGAIN_S = (
    1.0  # no burden for a part that is well, and short beside the 5 s after which a sender is told to come again
)


class Breaker:
    """Of one part, for all threads. `failure` says that the part is away: a call raises it, and so does a refusal."""

    def __init__(self, part: str, failure: type[Exception]) -> None:
        self._part, self._failure = part, failure
        self._lock = threading.Lock()
        self._why: str | None = None  # what the last failure said; None: it is open
        self._since = self._next = 0.0

    @property
    def shut(self) -> bool:
        """Whether the last that was heard of the part is a failure."""
        return self._why is not None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around one call. Raises `failure` at once while it is shut, unless it is this caller's turn to try."""
        self._admit()
        try:
            yield
        except self._failure as error:
            self._shut(str(error))
            raise
        self._open()

    def _admit(self) -> None:
        with self._lock:
            if self._why is None:
                return
            if time.monotonic() < self._next:
                raise self._failure(self._why)
            self._next = time.monotonic() + ASK_AGAIN_S

    def _shut(self, why: str) -> None:
        with self._lock:
            first, self._why = self._why is None, why
            self._next = time.monotonic() + ASK_AGAIN_S
            if first:
                self._since = time.monotonic()
        if first:
            _log.error("part is away", part=self._part, detail=why)
            metrics.DEPENDENCY_UP.labels(part=self._part).set(0)

    def _open(self) -> None:
        with self._lock:
            was_shut, self._why = self._why is not None, None
        if was_shut:
            _log.warning("part is back", part=self._part, away_s=round(time.monotonic() - self._since, 1))
            metrics.DEPENDENCY_UP.labels(part=self._part).set(1)
