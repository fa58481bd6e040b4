"""The socket that the service listens on."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from leafloop.cli import foreground
from leafloop.errors import ConfigurationInvalid


def test_small_answers_are_sent_at_once_and_do_not_wait_for_the_callers_acknowledgement():
    async def accepted() -> int:
        told = asyncio.get_running_loop().create_future()

        async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with foreground.listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(meet, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                set_by_asyncio = await told
                writer.close()
        return int(set_by_asyncio)

    with ThreadPoolExecutor(1) as pool:  # a loop of its own: a browser's test may have left one running in this thread
        assert pool.submit(asyncio.run, accepted()).result(20) == 1


def test_a_port_that_is_taken_is_said_with_the_next_one():
    with foreground.listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationInvalid, match=f"Port {port} is taken.*LEAFLOOP_PORT={port + 1}"):
            foreground.listen("127.0.0.1", port)
