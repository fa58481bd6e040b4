"""How much work is taken on at once: so many photos, and no more than can be answered in time. Knows no photo and no model.

One more is refused, not queued: a refusal in milliseconds lets its sender try again at a better time, a long wait helps nobody.
How long the photos under way will take is reckoned from their sizes and from how fast the last ones were answered.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from leafloop.errors import Overloaded

# Accepted work is answered within 10 s; the difference is for what cannot be foreseen (a slow disk, a guess that was low).
PATIENCE_S = 7.0
# A photo costs its pixels, and beside them as much as half a megapixel: to be received, written and committed.
FIXED_PIXELS = 500_000
# Of a slow machine, so that the first photos of a process are not promised too much; a dozen answers later it is forgotten.
FIRST_GUESS_S = 0.1e-6  # a pixel
# Pixels, and tiles cut of them, take 6 bytes each. Two photos of 12 megapixels: one is judged, the next is made ready meanwhile.
PIXELS_IN_HAND = 26_000_000
MEMORY = 0.8  # share of the past that each answer leaves in force: ten photos after a change the guess follows it


class Admission:
    """Lets photos in, from many threads."""

    def __init__(self, places: int, *, patience_s: float = PATIENCE_S) -> None:
        self._places, self._patience_s = places, patience_s
        self._lock = threading.Lock()
        self._under_way = 0
        self._pixels = 0  # of all photos under way
        self._pace = _Pace()

    def refuse_when_full(self, pixels: int = 0) -> None:
        """Raise `Overloaded`, with the seconds after which to come again, if a photo of this size would be refused now."""
        with self._lock:
            self._refuse_when_full(pixels)

    @contextmanager
    def place(self, pixels: int) -> Iterator[None]:
        """A place for one photo of about this size. Raises `Overloaded`."""
        with self._lock:
            self._refuse_when_full(pixels)
            if not self._under_way:
                self._pace.begin()
            self._under_way += 1
            self._pixels += pixels + FIXED_PIXELS
        try:
            yield
            self._pace.learn(pixels + FIXED_PIXELS)  # of answers alone: a refusal says nothing of the pace
        finally:
            with self._lock:
                self._under_way -= 1
                self._pixels -= pixels + FIXED_PIXELS

    def _refuse_when_full(self, pixels: int) -> None:
        if not self._under_way:  # with nothing to wait for, a photo of any size is worth a try
            return
        wait_s = self._pace.seconds(self._pixels)
        if self._under_way >= self._places or wait_s + self._pace.seconds(pixels + FIXED_PIXELS) > self._patience_s:
            raise Overloaded(retry_after_s=max(1, math.ceil(wait_s / 2)))


class Hands:
    """How much is decoded at once: photos come to hand in the order in which they came, as far as memory for their pixels goes."""

    def __init__(self, pixels: int = PIXELS_IN_HAND) -> None:
        self._most, self._held = pixels, 0
        self._changed, self._line = threading.Condition(), deque[object]()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait for this photo's turn. One that is larger than everything allowed is held alone."""
        me = object()
        with self._changed:
            self._line.append(me)
            self._changed.wait_for(
                lambda: self._line[0] is me and (not self._held or self._held + pixels <= self._most)
            )
            self._line.popleft()
            self._held += pixels
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


class _Pace:
    """Seconds a pixel, as of late. Photos share the machine, so what counts is the time from one answer to the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds, self._pixels = 12e6 * FIRST_GUESS_S, 12e6
        self._last = time.monotonic()

    def begin(self) -> None:
        """The first photo after a time of rest."""
        with self._lock:
            self._last = time.monotonic()

    def learn(self, pixels: int) -> None:
        """One more was answered."""
        with self._lock:
            since, self._last = self._last, time.monotonic()
            self._seconds = MEMORY * self._seconds + self._last - since
            self._pixels = MEMORY * self._pixels + pixels

    def seconds(self, pixels: int) -> float:
        return pixels * self._seconds / self._pixels
