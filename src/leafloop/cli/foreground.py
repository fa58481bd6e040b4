"""The service in the foreground, as `leafloop serve` runs it. No other command imports it: the HTTP layers take a second."""

from __future__ import annotations

import errno
import gc
import socket
import sys

import typer
import uvicorn
from fastapi import FastAPI

from leafloop import crossing, log
from leafloop.api import connections, descriptors
from leafloop.api.stopping import OrderlyServer
from leafloop.app import create_app
from leafloop.errors import ConfigurationInvalid
from leafloop.settings import Settings

SWITCH_S = (
    0.0005  # the event loop has the interpreter again after so long, not after 5 ms, while threads work on photos
)
BACKLOG = 256  # connections that wait to be accepted; beyond it the system refuses, which clients retry


def run(chosen: Settings) -> None:
    """Until a signal ends it. Raises `ConfigurationInvalid` where it cannot listen, and what `create_app` raises."""
    log.set_up(chosen.log_level, chosen.log_format)
    descriptors.raise_limit()
    sys.setswitchinterval(SWITCH_S)
    listener = listen(chosen.host, chosen.port)
    chosen = chosen.model_copy(update={"port": listener.getsockname()[1]})
    app = create_app(chosen)
    config = uvicorn.Config(
        app,
        log_config=None,
        server_header=False,
        http=connections.protocol(descriptors.Room(crossing.threads(chosen))),
        ws="none",
        backlog=descriptors.ACCEPTED_AT_ONCE,
    )
    server = _Announcing(config, app, chosen.public_url or _address(chosen.host, chosen.port), chosen.drain_seconds)
    server.run(sockets=[listener])
    if not server.started:
        raise typer.Exit(1)


class _Announcing(OrderlyServer):
    """A server that prints its address once it answers there, for people and for scripts that wait."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, address: str, drain_s: float) -> None:
        super().__init__(config, app, drain_s=drain_s)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # uvicorn has one number for this and for how many are accepted at a time
        if self.started:
            gc.freeze()  # what is there now stays: looking through it again and again would stop everybody for 0.1 s
            sys.stdout.write(f"Leafloop is ready: {self._address}\n")
            sys.stdout.flush()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises `ConfigurationInvalid`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, else asyncio does not know it for TCP and leaves Nagle's algorithm on: small answers wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationInvalid(_cannot_listen(host, port, error)) from None
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program. End that one, or choose another: LEAFLOOP_PORT={port + 1}."
    return f"{host}:{port} cannot be listened on ({error.strerror or error}). Check LEAFLOOP_HOST and LEAFLOOP_PORT."


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
