"""Runs an ASGI application under a real uvicorn, as `leafloop serve` has it, on a free port, in a thread of the test's process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from leafloop.api import connections
from leafloop.api.deadlines import Deadlines
from leafloop.api.descriptors import Room
from leafloop.cli.foreground import listen

START_S = 60.0


@contextmanager
def served(app: Any, *, deadlines: Deadlines | None = None, room: Room | None = None) -> Iterator[str]:
    """The address at which `app` answers; it is stopped at the end, with its lifespan."""
    listener = listen("127.0.0.1", 0)
    http = connections.protocol(room or Room(threads=32), deadlines)
    server = uvicorn.Server(
        uvicorn.Config(app, http=http, ws="none", log_config=None, timeout_graceful_shutdown=5, server_header=False)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    end = time.monotonic() + START_S
    while not server.started and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.01)
    assert server.started, "the application did not start"
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def client_of(app: Any, **options: Any) -> Iterator[httpx.Client]:
    """A client of a served application."""
    with served(app) as address, httpx.Client(base_url=address, timeout=30, **options) as client:
        yield client


def raw(address: str, request: bytes, *, timeout: float = 10) -> bytes:
    """What comes back for bytes that no HTTP library would send, until the server closes or says nothing more."""
    host, port = address.removeprefix("http://").split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        connection.sendall(request)
        connection.settimeout(timeout)
        try:
            while piece := connection.recv(65536):
                answer += piece
                if b"\r\n\r\n" in answer and b"HTTP/1.1 100" not in answer[:12]:
                    connection.settimeout(0.3)
        except TimeoutError:
            pass
    return answer
