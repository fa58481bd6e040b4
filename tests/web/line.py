"""A bad line between a browser and the service: a TCP relay that breaks a photo's way there, or its answer's way back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 16 * 1024


class Line:
    """`address` stands for the service. `cut_after`: bytes of a POST that pass before both ends are cut; None: all pass.
    `lose_answers`: a POST passes whole, and the line breaks when the answer comes. `down`: no net at all."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        # A short queue, so that a browser does not hand over a whole photo before the line breaks.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * CHUNK)
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut_after: int | None = None
        self.lose_answers = False
        self._is_down = False
        self._open: set[socket.socket] = set()
        self.broken = 0  # how often the line broke

    @property
    def down(self) -> bool:
        return self._is_down

    @down.setter
    def down(self, down: bool) -> None:
        self._is_down = down
        for end in tuple(self._open) if down else ():
            _end(end)

    def run(self) -> None:
        with suppress(OSError):  # the listener is closed: the end
            while True:
                near, _ = self._listener.accept()
                if self._is_down:
                    _end(near)
                    continue
                far = socket.create_connection(self._target, timeout=30)
                ends = (near, far)
                self._open.update(ends)
                threading.Thread(target=self._up, args=ends, daemon=True).start()
                threading.Thread(target=self._down, args=ends, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        passed, posting = 0, False
        with suppress(OSError):
            while data := near.recv(CHUNK):
                posting = posting or data.startswith(b"POST ")
                passed = passed + len(data) if posting else 0
                if self.cut_after is not None and passed > self.cut_after:
                    return self._break(near, far)
                far.sendall(data)
        return _end(far)

    def _down(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(CHUNK):
                if self.lose_answers:
                    return self._break(near, far)
                near.sendall(data)
        return _end(near)

    def _break(self, near: socket.socket, far: socket.socket) -> None:
        self.broken += 1
        _end(near)
        _end(far)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def line_to(target: str) -> Iterator[Line]:
    """A running line, perfect until told otherwise."""
    line = Line(target)
    threading.Thread(target=line.run, daemon=True).start()
    try:
        yield line
    finally:
        line.close()
