"""Bounds what may be sent, before anybody parses it: a request, and all requests under way. Knows no form.

`Content-Length` is believed only as a reason to refuse; what arrives is counted, and the pace at which it arrives. What still
comes after an early answer (no key, too large) is the connection's to throw away (`api/connections.py`).
"""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leafloop.api.deadlines import Deadlines, Pace
from leafloop.errors import Overloaded, RequestTimeout, TooManyBytes
from leafloop.live.uploads import PIECE_BYTES
from leafloop.settings import Settings
from leafloop.tus import PIECE_TYPE

ONE_KIB = 1024
FORM_ROOM = 128 * ONE_KIB  # what a form adds to its photo: a dozen small fields, their headers and boundaries
SMALL_BODY = (
    256 * ONE_KIB
)  # JSON and login forms: a few names and texts, or the 1000 boxes of a word with all digits of each


class Memory:
    """Bytes of bodies that are held at this moment. Only the event loop touches it, so it needs no lock."""

    def __init__(self, settings: Settings) -> None:
        self.most = (
            settings.max_waiting * settings.max_upload_bytes
        )  # as if every waiting photo were of the largest kind
        self.held = 0

    def take(self, count: int) -> None:
        """Hold `count` more, or raise `Overloaded`."""
        if self.held + count > self.most:
            raise Overloaded
        self.held += count

    def give_back(self, count: int) -> None:
        self.held -= count


class BoundedBody:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, settings: Settings, deadlines: Deadlines | None = None) -> None:
        self.app = app
        self.deadlines = deadlines or Deadlines()
        self.upload_bytes = settings.max_upload_bytes + FORM_ROOM
        self.memory = Memory(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        pace = Pace(self.deadlines.stall_s, self.deadlines.bytes_per_s)
        body = _Body(headers, self._limit(headers), self.memory, pace, receive)
        try:
            await self.app(scope, body.receive, send)
        finally:
            self.memory.give_back(body.held)

    def _limit(self, headers: Headers) -> int:
        kind = headers.get("content-type", "").lower()
        if kind == PIECE_TYPE:
            return PIECE_BYTES
        return (
            self.upload_bytes if kind.startswith(("multipart/", "image/", "application/octet-stream")) else SMALL_BODY
        )


class _Body:
    """One request's body on its way in."""

    def __init__(self, headers: Headers, limit: int, memory: Memory, pace: Pace, receive: Receive) -> None:
        self._limit, self._memory, self._pace, self._receive = limit, memory, pace, receive
        self._declared = int(headers["content-length"]) if headers.get("content-length", "").isdecimal() else None
        self._ended = not self._declared and "transfer-encoding" not in headers
        self._got = self.held = 0

    async def receive(self) -> Message:
        if self._declared is not None and self._declared > self._limit:
            raise self._too_many()
        if self._ended:  # what is waited for now is that the client leaves
            return await self._receive()
        message = await self._next()
        count = len(message.get("body", b""))
        self._got += count
        if self._got > self._limit:
            raise self._too_many()
        self._memory.take(count)
        self.held += count
        return message

    async def _next(self) -> Message:
        """The next piece, while its sender keeps the pace: only the waiting counts, not what is done with the pieces between."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._pace.left_s):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout from None
        self._pace.went(time.monotonic() - began, len(message.get("body", b"")))
        self._ended = not message.get("more_body", False)
        return message

    def _too_many(self) -> TooManyBytes:
        taken = (
            f"{self._limit // (ONE_KIB * ONE_KIB)} MiB" if self._limit > SMALL_BODY else f"{self._limit // ONE_KIB} KiB"
        )
        return TooManyBytes(
            f"The request is larger than the {taken} that are taken here. Send less, or the photo smaller."
        )
