"""How many connections fit beside the files that answering needs: a connection taken too many would cost a photo its file.

Knows the process's limit and what is open, no connection.
"""

from __future__ import annotations

import contextlib
import resource
from functools import cached_property
from pathlib import Path
from typing import Any

MOST = 2048  # a thousand phones at once, and as many that are slow; idle ones cost about 20 KiB each
# What one request under way may hold at once, or leave open for the next: a database connection to read and one to write (SQLite:
# file, WAL and index each), a file that is written and its folder, and the pipe to what decodes it.
FILES_OF_A_REQUEST = 9
TURNED_AWAY_AT_ONCE = 8  # connections that are being told that there is no room; one more is closed without a word
# The event loop takes so many at a time, and they are counted three turns later. It also goes on taking after the last descriptor
# went, so many times, before it rests for a second.
ACCEPTED_AT_ONCE = 4
_ON_THEIR_WAY = TURNED_AWAY_AT_ONCE + 3 * ACCEPTED_AT_ONCE


class Room:
    """The place for connections of one process, and those that are being turned away."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.turned_away: set[Any] = set()

    @cached_property
    def most(self) -> int:
        """Asked when the first connection comes: by then everything that stays open is open."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return connections_within(limit - _open_now(), self._threads)


def connections_within(free: int, threads: int) -> int:
    """How many connections `free` descriptors allow, so that each of the requests that `threads` can carry finds its files.

    With fewer connections than threads every connection may have a request under way; else every thread has. At least one.
    """
    free -= _ON_THEIR_WAY
    few, many = free // (1 + FILES_OF_A_REQUEST), free - threads * FILES_OF_A_REQUEST
    return max(1, min(MOST, max(few, many)))


def raise_limit() -> None:
    """Take as many descriptors as the system allows: the soft limit is low (1024) for the sake of programs that use select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS: the hard limit may be more than it gives
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _open_now() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())
