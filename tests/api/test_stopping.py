"""A stop with a short grace: whoever is late is told so, and a thread that hangs does not hold up the end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

GRACE_S = 0.5
SERVER = f"""
import socket, sys, time
import anyio.to_thread, uvicorn
from fastapi import FastAPI, Request
from leafloop.api import connections
from leafloop.api.descriptors import Room
from leafloop.api.stopping import OrderlyServer

app = FastAPI()

@app.post("/count")
async def count(request: Request):
    return len(await request.body())

@app.get("/hang")
async def hang():
    await anyio.to_thread.run_sync(time.sleep, 600)

class Announcing(OrderlyServer):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(sockets[0].getsockname()[1], flush=True)

config = uvicorn.Config(app, http=connections.protocol(Room(threads=4)), ws="none", log_config=None)
Announcing(config, app, drain_s=0, grace_s={GRACE_S}).run(sockets=[socket.create_server(("127.0.0.1", 0))])
"""


@contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    script = folder / "server.py"
    script.write_text(SERVER)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def ask(port: int, request: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(request)
    return client


def everything(client: socket.socket, until: bytes | None = None) -> bytes:
    """What comes until the server closes, or ends so."""
    found = b""
    while until is None or not found.endswith(until):
        if not (piece := client.recv(65536)):
            client.close()
            break
        found += piece
    return found


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=lambda sign: sign.name)
def test_an_upload_that_comes_too_late_is_told_so_and_an_idle_connection_is_not(
    tmp_path: Path, sign: signal.Signals
) -> None:
    with server(tmp_path) as (process, port):
        idle = ask(port, b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1")
        assert everything(idle, until=b"\r\n\r\n1").startswith(b"HTTP/1.1 200")
        late = ask(port, b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
        assert late.recv(65536).startswith(b"HTTP/1.1 100")  # it is under way
        process.send_signal(sign)
        head, _, body = everything(late).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert json.loads(body)["code"] == "stopping"
        assert b"connection: close" in head
        assert everything(idle) == b""
        assert process.wait(20) == 0


def test_a_thread_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with server(tmp_path) as (process, port):
        hanging = ask(port, b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        last = ask(port, b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1")
        assert everything(last, until=b"\r\n\r\n1").startswith(b"HTTP/1.1 200")  # so the one before is under way
        process.send_signal(signal.SIGTERM)
        assert b'"code":"stopping"' in everything(hanging)
        assert process.wait(30) == 0
        last.close()
