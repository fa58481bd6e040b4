"""How slow a client may be: the figures, and the count of how much patience is left. Knows no connection.

Each is generous to a phone on a bad network and short beside what somebody wins who opens connections to hold them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What a client has time for. Tests pass shorter ones."""

    head_s: float = (
        10.0  # whole headers, from the first byte or the connection: a kilobyte, sent at once by every client
    )
    stall_s: float = (
        20.0  # a body or an answer may stand still so long: a phone that changes its cell is away for 5 to 15 s
    )
    bytes_per_s: float = (
        5_000.0  # and has to move this fast over time: a tenth of what the slowest mobile networks carry
    )
    linger_s: float = 30.0  # what still comes after an early answer is thrown away: a photo of 4 MB at 1 Mbit/s
    look_s: float = 1.0  # how often a connection is looked at


class Pace:
    """Patience with one transfer: a second of waiting costs one, what moves gives it back, never beyond what it began with.

    So a stall is borne, and whoever stays slower than `bytes_per_s` is given up in the end, however he times his bytes.
    """

    def __init__(self, patience_s: float, bytes_per_s: float) -> None:
        self._most_s, self._bytes_per_s = patience_s, bytes_per_s
        self.left_s = patience_s

    def went(self, seconds: float, count: int) -> None:
        """`count` bytes moved while `seconds` were waited for them."""
        self.left_s = min(self._most_s, self.left_s - seconds + count / self._bytes_per_s)
