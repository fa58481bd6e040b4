"""`leafloop serve`: the service in the foreground."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import sys
from typing import Annotated

import typer
import uvicorn

from leafloop import log, settings
from leafloop.app import create_app
from leafloop.cli.output import says_errors
from leafloop.errors import ConfigurationInvalid

GRACE_SECONDS = 20  # what is under way may finish: the slowest accepted photo takes 10 s (docs/RELIABILITY.md)
BACKLOG = 256  # connections that wait to be accepted; beyond it the system refuses, which clients retry


@says_errors
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [LEAFLOOP_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one [LEAFLOOP_PORT].")] = None,
) -> None:
    """Start the service and its pages. It stays in the foreground; Ctrl-C ends it after what is under way is answered."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    chosen = settings.load().model_copy(update=given)
    log.set_up(chosen.log_level, chosen.log_format)
    listener = _listen(chosen.host, chosen.port)
    chosen = chosen.model_copy(update={"port": listener.getsockname()[1]})
    config = uvicorn.Config(
        create_app(chosen),
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    server = _Announcing(config, chosen.public_url or _address(chosen.host, chosen.port))
    # uvicorn raises the signal again once all is answered and closed: an orderly end is exit 0, however it was asked for.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        raise typer.Exit(1)


class _Announcing(uvicorn.Server):
    """A server that prints its address once it answers there, for people and for scripts that wait."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(f"Leafloop is ready: {self._address}\n")
            sys.stdout.flush()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
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
