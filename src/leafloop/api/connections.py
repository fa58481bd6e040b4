"""What uvicorn's HTTP protocol lacks at the edge: deadlines, a bound on connections, refusals that arrive. Knows no route.

    accepted -> room for it? -> whole headers in time -> no doubtful framing -> the application -> its answer is read

A body's pace is judged where the body is read (`api/body.py`): there an answer can still be made of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.server import ServerState

from leafloop import log, metrics
from leafloop.api import problems, request_log
from leafloop.api.deadlines import Deadlines, Pace
from leafloop.api.descriptors import TURNED_AWAY_AT_ONCE, Room
from leafloop.api.headers import SECURITY
from leafloop.errors import ConnectionsTaken, LeafloopError, RequestTimeout

_log = log.get(__name__)

MAX_HEAD = (
    16 * 1024
)  # bytes of a request's line and headers: ours need one KiB, a browser's cookies of other services a few
MAX_HEADERS = 100  # as Apache has it
# A chunk costs 15 microseconds however small it is: single bytes at 3 Mbit/s would keep the event loop busy. Clients send 4 KiB.
FREE_CHUNKS, LEAST_CHUNK = 2048, 64
# Whoever is told that there is no room holds a descriptor while he reads it.
TURN_AWAY_S = 2.0

_HEAD, _ANSWER, _REST = "headers", "reading of the answer", "rest of a body"


def protocol(room: Room, deadlines: Deadlines | None = None) -> type[asyncio.Protocol]:
    """What uvicorn's `Config` takes as `http`; it calls it once a connection."""
    return cast("type[asyncio.Protocol]", partial(Connection, room=room, deadlines=deadlines or Deadlines()))


class Connection(H11Protocol):
    """One client's connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        room: Room,
        deadlines: Deadlines,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: _Strict = _Strict(h11.SERVER, MAX_HEAD)
        self._room, self._deadlines = room, deadlines
        self._lingers_s: float | None = None  # set: all is said, and what still comes is thrown away
        self._answers = 0
        self._awaited: tuple[str, int] | None = None
        self._pace = Pace(deadlines.head_s, deadlines.bytes_per_s)
        self._had_left = 0
        self._next_look: asyncio.TimerHandle | None = None

    # asyncio's and uvicorn's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = _Socket(cast("asyncio.Transport", transport), self._must_linger)
        super().connection_made(cast("asyncio.Transport", self._socket))
        if len(self.connections) > self._room.most:
            self._turn_away()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        self._room.turned_away.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Headers are fed in pieces, so that their bound holds however much arrives at once."""
        while data and self._lingers_s is None:
            most = MAX_HEAD if self.conn.their_state is h11.IDLE else len(data)
            super().data_received(data[:most])
            data = data[most:]

    def on_response_complete(self) -> None:
        self._answers += 1
        if self._lingers_s is None:
            super().on_response_complete()

    def shutdown(self) -> None:
        """The server ends. What lingers has been told all, and closes by itself."""
        if self._lingers_s is None:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, which we replace
        self._refuse(problems.of_http(self.conn.refused_as), self._deadlines.linger_s)

    # Saying no

    def close_after_answer(self) -> None:
        """The answer under way carries what every answer carries by now, `Connection: close` among it."""
        if self.cycle is not None:
            self.cycle.default_headers = self.server_state.default_headers

    @property
    def owes_an_answer(self) -> bool:
        return self.conn.our_state is h11.SEND_RESPONSE

    def give_up(self, error: LeafloopError) -> None:
        """Say so while no answer has begun, and close."""
        self._refuse(problems.of_error(error), self._deadlines.linger_s)

    def _turn_away(self) -> None:
        self.connections.discard(self)
        if len(self._room.turned_away) >= TURNED_AWAY_AT_ONCE:
            self.transport.abort()
            return
        self._room.turned_away.add(self)
        self._refuse(problems.of_error(ConnectionsTaken()), TURN_AWAY_S)

    def _refuse(self, problem: problems.Problem, linger_s: float) -> None:
        metrics.REFUSED.labels(code=problem.code).inc()
        if self.cycle is not None:  # whoever still reads this request's body is told that nobody sends it any more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_whole(problem, self.server_state.default_headers))
        self._linger(linger_s)

    # Closing so that the last word is heard

    def _must_linger(self) -> bool:
        """Whether a close has to wait: closed while something comes, the connection is reset, and the answer lost with it."""
        if self.transport.is_closing():
            return False
        if self._lingers_s is None and self.conn.their_state is h11.SEND_BODY:
            self._linger(self._deadlines.linger_s)
        return self._lingers_s is not None

    def _linger(self, seconds: float) -> None:
        self._lingers_s = seconds
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        with contextlib.suppress(OSError):  # the client has left already
            self.transport.write_eof()

    # Deadlines

    def _look(self) -> None:
        """Once a second: what is waited for, and is there patience left?"""
        every = self._deadlines.look_s
        self._next_look = self.loop.call_later(every, self._look)
        what, patience_s = self._awaits()
        moved, self._had_left = self._socket.left - self._had_left, self._socket.left
        if (what, self._answers) != self._awaited:
            self._awaited = (what, self._answers)
            self._pace = Pace(patience_s, self._deadlines.bytes_per_s)
        elif what:
            self._pace.went(every, moved if what is _ANSWER else 0)
            if self._pace.left_s <= 0:
                self._lose_patience(what)

    def _awaits(self) -> tuple[str, float]:
        """What the client has to do now, and how long it may take; nothing while the application works or reads."""
        if self._socket.waiting:
            return _ANSWER, self._deadlines.stall_s
        if self._lingers_s is not None:
            return _REST, self._lingers_s
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY:
            return _REST, self._deadlines.linger_s
        if self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None:
            return _HEAD, self._deadlines.head_s
        return "", 0.0

    def _lose_patience(self, what: str) -> None:
        if what is _HEAD and self.conn.trailing_data[0]:
            self.give_up(RequestTimeout())
        else:  # whoever asked for nothing, or does not listen, is told nothing
            self.transport.abort()


class _Strict(h11.Connection):
    """h11 without what two servers might read as two different requests: HTTP lets us refuse it (RFC 9112, section 6.1)."""

    refused_as = 400
    _chunks = _bytes = 0  # of the body that is coming

    def next_event(self) -> Any:
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                _refuse_doubtful(event)
                self._chunks = self._bytes = 0
            elif isinstance(event, h11.Data):
                self._refuse_crumbs(event)
        except h11.RemoteProtocolError as error:
            self.refused_as = 431 if error.error_status_hint == 431 else 400
            raise
        return event

    def _refuse_crumbs(self, data: h11.Data) -> None:
        self._chunks += data.chunk_end
        self._bytes += len(data.data)
        if self._chunks > FREE_CHUNKS and self._bytes < self._chunks * LEAST_CHUNK:
            raise h11.RemoteProtocolError("Too many small chunks")


def _refuse_doubtful(request: h11.Request) -> None:
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
        raise h11.RemoteProtocolError("The body's length is said in two ways")
    if len(request.headers) > MAX_HEADERS:
        raise h11.RemoteProtocolError("Too many headers", error_status_hint=431)


class _Socket:
    """asyncio's transport, with a count of what has left, and a `close` that waits where it has to."""

    def __init__(self, transport: asyncio.Transport, must_linger: Callable[[], bool]) -> None:
        self._transport, self._must_linger = transport, must_linger
        self._written = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def waiting(self) -> int:
        """Bytes that the client has not taken."""
        return self._transport.get_write_buffer_size()

    @property
    def left(self) -> int:
        """Bytes that have gone out."""
        return self._written - self.waiting

    def write(self, data: bytes) -> None:
        self._written += len(data)
        self._transport.write(data)

    def close(self) -> None:
        if not self._must_linger():
            self._transport.close()


def _whole(problem: problems.Problem, of_every_answer: Iterable[tuple[bytes, bytes]]) -> bytes:
    """An answer as bytes: where h11 no longer knows what may be said, this still may."""
    request_id = request_log.id_of(None)
    _log.info("connection refused", code=problem.code, request_id=request_id)
    answer = problem.response({"path": "", "state": {"request_id": request_id}})
    answer.headers.update({**SECURITY, request_log.HEADER: request_id, "Connection": "close"})
    lines = [b"HTTP/1.1 %d %s" % (problem.status, STATUS_PHRASES[problem.status])]
    lines += [name + b": " + value for name, value in (*of_every_answer, *answer.raw_headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body)
