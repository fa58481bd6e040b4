"""Hundreds who hold connections and say little (matrix row 31): they are let go in time, and nobody else notices them."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest
from tests.chaos.conftest import audit
from tests.chaos.journal import Journal
from tests.chaos.workload import Client
from tests.service import Service

SILENT, DRIP, TRICKLE = 500, 200, 50
HEAD = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
# Beside the deadlines of 10 s, and of 20 s of patience at four fifths below the pace: a machine that is busy with them all.
HEAD_GONE_S, BODY_GONE_S = 30, 60


@pytest.fixture
def room() -> Iterator[None]:
    """Descriptors for all these clients: they are this process's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * (SILENT + DRIP + TRICKLE):
        pytest.skip("this machine gives too few descriptors to a process")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Clients who go on until the service has had enough: how long each lasted, and what it was told."""

    def __init__(self, service: Service) -> None:
        self._where = (service.http.base_url.host, service.http.base_url.port)
        self.lasted: dict[str, list[float]] = {"silent": [], "drip": [], "trickle": []}
        self.told: dict[str, list[bytes]] = {"silent": [], "drip": [], "trickle": []}

    async def come(self) -> None:
        body = HEAD + b"Content-Length: 1000000\r\n\r\n"
        await asyncio.gather(
            *(self._one("silent", b"", b"", 1) for _ in range(SILENT)),
            *(self._one("drip", HEAD + b"X: ", b"x", 1) for _ in range(DRIP)),
            *(self._one("trickle", body, bytes(1000), 1) for _ in range(TRICKLE)),
        )

    async def _one(self, kind: str, first: bytes, piece: bytes, every_s: float) -> None:
        reader, writer = await asyncio.open_connection(*self._where)
        began, said = time.monotonic(), b""
        writer.write(first)
        reading = asyncio.ensure_future(reader.read())
        while not (await asyncio.wait([reading], timeout=every_s))[0]:
            writer.write(piece)
        with suppress(ConnectionError):
            said = await reading
        self.lasted[kind].append(time.monotonic() - began)
        self.told[kind].append(said)
        writer.close()


def open_sockets(service: Service) -> int:
    files = Path(f"/proc/{service.process.pid}/fd").iterdir()
    return sum(str(file.readlink()).startswith("socket:") for file in files)


@pytest.mark.slow
def test_slow_clients_are_let_go_in_time_and_an_honest_one_does_not_notice(
    service: Service, journal: Journal, room: None
) -> None:
    honest, crowd = Client(service, journal), Crowd(service)
    times: dict[str, list[float]] = {"before": [], "among them": []}

    def send(number: int, when: str) -> None:
        began = time.monotonic()
        answer = honest.upload(number)
        assert answer is not None
        assert answer.status_code == 200
        times[when].append(time.monotonic() - began)

    async def both() -> None:
        coming = asyncio.create_task(crowd.come())
        for number in range(100, 160):
            await asyncio.to_thread(send, number, "among them")
            await asyncio.sleep(0.2)
        await coming

    for number in range(20):
        send(number, "before")
    sockets = open_sockets(service)
    asyncio.run(both())
    assert max(crowd.lasted["silent"] + crowd.lasted["drip"]) < HEAD_GONE_S
    assert max(crowd.lasted["trickle"]) < BODY_GONE_S
    assert set(crowd.told["silent"]) == {b""}
    assert {said[:12] for said in crowd.told["drip"] + crowd.told["trickle"]} <= {b"HTTP/1.1 408", b""}
    assert sum(b"request_timeout" in said for said in crowd.told["drip"]) > DRIP / 2
    assert sum(b"request_timeout" in said for said in crowd.told["trickle"]) > TRICKLE / 2
    assert median(times["among them"]) < 10 * median(times["before"])
    end = time.monotonic() + 20
    while open_sockets(service) > sockets:
        assert time.monotonic() < end, "the connections' descriptors do not come back"
        time.sleep(0.1)
    audit(service, journal)
