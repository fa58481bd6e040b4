"""Bounds what may be sent, before anybody parses it: a request, and all requests under way. Knows no form.

`Content-Length` is believed only as a reason to refuse; what arrives is counted. When an answer is ready before the
body has been read (no key, too large), what still comes is read and thrown away for a while: closing the connection
at once would reset it, and a phone would show "connection lost" instead of the reason.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leafloop.errors import Overloaded, TooManyBytes
from leafloop.settings import Settings

ONE_KIB = 1024
FORM_ROOM = 128 * ONE_KIB  # what a form adds to its photo: a dozen small fields, their headers and boundaries
SMALL_BODY = 64 * ONE_KIB  # JSON and login forms: a reason and a few names
DRAIN_S = 5.0  # long enough for a phone to finish a photo on a fair network, short beside a connection held for nothing
DRAIN_BODIES = 2  # at most so many times the limit is thrown away


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

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.upload_bytes = settings.max_upload_bytes + FORM_ROOM
        self.memory = Memory(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(headers, self._limit(headers), self.memory, receive, send)
        try:
            await self.app(scope, body.receive, body.send)
        finally:
            self.memory.give_back(body.held)

    def _limit(self, headers: Headers) -> int:
        kind = headers.get("content-type", "").lower()
        return (
            self.upload_bytes if kind.startswith(("multipart/", "image/", "application/octet-stream")) else SMALL_BODY
        )


class _Body:
    """One request's body on its way in."""

    def __init__(self, headers: Headers, limit: int, memory: Memory, receive: Receive, send: Send) -> None:
        self._limit, self._memory, self._receive, self._send = limit, memory, receive, send
        self._declared = int(headers["content-length"]) if headers.get("content-length", "").isdecimal() else None
        self._ended = not self._declared and "transfer-encoding" not in headers
        # Such a client sends nothing before it is asked to, so there is nothing to throw away.
        self._waits = headers.get("expect", "").lower() == "100-continue"
        self.got = self.held = 0

    async def receive(self) -> Message:
        if self._declared is not None and self._declared > self._limit:
            raise self._too_many()
        message = await self._next()
        self._waits = False
        count = len(message.get("body", b""))
        if self.got > self._limit:
            raise self._too_many()
        self._memory.take(count)
        self.held += count
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._ended and not self._waits:
            await self._drain()
        await self._send(message)

    async def _next(self) -> Message:
        message = await self._receive()
        self.got += len(message.get("body", b""))
        self._ended = self._ended or not message.get("more_body", False)
        return message

    async def _drain(self) -> None:
        most = self.got + DRAIN_BODIES * self._limit
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self._ended and self.got <= most:
                    await self._next()

    def _too_many(self) -> TooManyBytes:
        taken = (
            f"{self._limit // (ONE_KIB * ONE_KIB)} MiB" if self._limit > SMALL_BODY else f"{self._limit // ONE_KIB} KiB"
        )
        return TooManyBytes(
            f"The request is larger than the {taken} that are taken here. Send less, or the photo smaller."
        )
