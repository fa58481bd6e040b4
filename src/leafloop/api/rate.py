"""How often one caller may ask: a sliding window per key, or per address without one. Counts in this process.

With several replicas each counts for itself: the limit protects a process from one caller, it is not an account.
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from leafloop.errors import RateLimited
from leafloop.settings import Settings


class Rates:
    """The counters of one application: `request`, `photo` and `feedback`."""

    def __init__(self, settings: Settings) -> None:
        self._limits: dict[str, RateLimitItem] = {
            "request": parse(settings.rate_limit),
            "photo": parse(settings.predict_rate_limit),
            "feedback": parse(settings.feedback_rate_limit),
        }
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, what: str, who: str) -> None:
        """Count one more. Raises `RateLimited`, with the seconds to wait, when that is one too many."""
        if not self._window.hit(self._limits[what], what, who):
            raise self._refusal(what, who)

    def _refusal(self, what: str, who: str) -> RateLimited:
        limit = self._limits[what]
        reset = self._window.get_window_stats(limit, what, who).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        return RateLimited(
            f"More than {limit.amount} a {limit.GRANULARITY.name} came from here. Wait {seconds} s and send again.",
            retry_after_s=seconds,
        )
