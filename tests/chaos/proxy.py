"""A network that misbehaves: a TCP proxy with toxiproxy's toxics. What is set takes hold of open connections too."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

PIECE = 16 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER 0: the connection ends with RST


@dataclass
class Toxics:
    """How it misbehaves now; as it is made, not at all."""

    latency_s: float = 0.0  # before each answer's first byte
    bytes_a_second: float | None = None  # each way of each connection
    frozen: bool = False  # a black hole: connections are taken and nothing comes through
    cut_after: int | None = None  # so many bytes from the client, then both ends are reset
    refusing: bool = False  # every new connection is reset


class Proxy:
    """One, before one server. `toxics` is replaced to change the weather."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.toxics = Toxics()
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self.listener = socket.create_server(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    async def serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._connected, sock=self.listener):
            await self._stopped.wait()
            self._cut()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

    def cut(self) -> None:
        """Reset everything that is open."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            if self.toxics.refusing:
                return
            there = await asyncio.open_connection(self._host, self._port)
            self._writers.add(there[1])
            asked = asyncio.Event()
            ways = [self._up(reader, there[1], asked), self._down(there[0], writer, asked)]
            with suppress(OSError):
                for way in asyncio.as_completed(ways):
                    await way
            _reset(there[1])
        except (OSError, asyncio.CancelledError):  # the server is away, so the client is cut off; or the test is over
            pass
        finally:
            _reset(writer)
            self._writers.discard(writer)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        passed = 0
        while piece := await reader.read(PIECE):
            asked.set()
            await self._hold_up(piece)
            passed += len(piece)
            if self.toxics.cut_after is not None and passed > self.toxics.cut_after:
                writer.write(piece[: max(0, len(piece) - passed + self.toxics.cut_after)])
                await writer.drain()
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while piece := await reader.read(PIECE):
            if asked.is_set():
                await asyncio.sleep(self.toxics.latency_s)
                asked.clear()
            await self._hold_up(piece)
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    async def _hold_up(self, piece: bytes) -> None:
        while self.toxics.frozen:
            await asyncio.sleep(0.01)
        if self.toxics.bytes_a_second:
            await asyncio.sleep(len(piece) / self.toxics.bytes_a_second)


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@contextmanager
def before(host: str, port: int) -> Iterator[Proxy]:
    """A proxy before a server, in a thread of its own."""
    proxy = Proxy(host, port)
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve()))
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
        assert not thread.is_alive()
