"""An S3 server that lies: a proxy before one that says yes to a write and drops it, or gives other bytes than it was given."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Liar(ThreadingHTTPServer):
    """`drops` and `spoils` are the lies that it tells now; `asked` keeps the names of every request's headers."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port, self.drops, self.spoils = port, False, False
        self.asked: list[set[str]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Liar

    def _pass(self) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append({name.lower() for name in self.headers})
        if self.command == "PUT" and self.server.drops:
            self._answer(200, {"ETag": '"kept-nothing"'}, b"")
            return
        status, headers, body = self._there(sent)
        if self.command == "GET" and body and self.server.spoils:
            body = bytes([body[0] ^ 1]) + body[1:]
        self._answer(status, headers, body)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _pass

    def _there(self, sent: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the true server says; the host's name goes along, since it is signed."""
        there = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            there.request(self.command, self.path, sent, dict(self.headers.items()))
            answer = there.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            there.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        if self.command != "HEAD":
            headers = {**headers, "content-length": str(len(body))}
        for name, value in headers.items():
            if name not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def before(port: int) -> Iterator[Liar]:
    """A liar before an S3 server, in a thread of its own."""
    liar = Liar(port)
    thread = threading.Thread(target=liar.serve_forever)
    thread.start()
    try:
        yield liar
    finally:
        liar.shutdown()
        thread.join(10)
        liar.server_close()
