"""The orderly end of the service: no new photo, what is under way is answered, then goodbye. Knows no photo.

    SIGTERM or Ctrl-C -> `/ready` is 503 -> what is under way ends, and load balancers have looked -> the listener closes -> exit 0

A second signal ends the process at once, by that signal. What was acknowledged cannot be lost: it is on disk before it is said.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from leafloop import log
from leafloop.api.connections import Connection
from leafloop.errors import Stopping

_log = log.get(__name__)

GRACE_S = 20.0  # for what is under way: the slowest photo that is taken is answered in 10 s, and its upload may stall
LAST_WORDS_S = 2.0  # for answers that are on their way out, and for those that are told that they are too late
CLOSING_S = 3.0  # for the database and the model; a thread that hangs longer does not hold up the end


class OrderlyServer(uvicorn.Server):
    """uvicorn's server; `app.state.stopping` is what the application sees of the end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, *, drain_s: float, grace_s: float = GRACE_S) -> None:
        super().__init__(config)
        config.timeout_graceful_shutdown = int(LAST_WORDS_S)
        self._app, self._drain_s, self._grace_s = app, drain_s, grace_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as Python calls it
        """uvicorn would raise the signal again after an orderly end; ours is exit 0, however it was asked for."""
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = self._app.state.stopping = True
        self._let_clients_go()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn would close the listener first of all."""
        await self._drain()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        began, under_way = time.monotonic(), set(self.server_state.tasks)
        longest_s = max(self._grace_s, self._drain_s)
        _log.info("stopping", under_way=len(under_way))
        for connection in self._connections():
            connection.close_after_answer()
        self._end_in_any_case(longest_s + LAST_WORDS_S + CLOSING_S)
        while (gone_s := time.monotonic() - began) < longest_s:
            under_way = {task for task in under_way if not task.done()}
            if not under_way and gone_s >= self._drain_s:
                return
            await asyncio.sleep(0.1)
            await self.on_tick(0)  # the date in the headers
        self._cut()

    def _let_clients_go(self) -> None:
        """Every answer from now on closes its connection: the client's next request goes where somebody stays."""
        close = (b"connection", b"close")
        self.config.encoded_headers.append(close)
        self.server_state.default_headers = [*self.server_state.default_headers, close]

    def _cut(self) -> None:
        _log.warning("cut what did not end in time", under_way=len(self.server_state.tasks))
        for connection in self._connections():
            if connection.owes_an_answer:
                connection.give_up(Stopping())

    def _connections(self) -> list[Connection]:
        return [one for one in self.server_state.connections if isinstance(one, Connection)]

    def _end_in_any_case(self, seconds: float) -> None:
        last = threading.Timer(seconds, _leave)
        last.daemon = True
        last.start()


def _leave() -> None:
    _log.error("ended while a thread was still at work")
    os._exit(0)
