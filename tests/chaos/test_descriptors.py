"""More clients than descriptors (matrix row 11): 503 with the reason, no spinning, files for every photo that is let in."""

from __future__ import annotations

import os
import select
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.chaos.conftest import audit
from tests.chaos.journal import Journal
from tests.chaos.workload import Workload
from tests.service import Service

pytestmark = pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed (util-linux)")
CLIENTS = 200
HALF = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def narrow(new_service: Callable[..., Service]) -> Service:
    """A service that may have 80 files open, connections among them."""
    service = new_service()
    service.start("prlimit", "--nofile=80")
    return service


@contextmanager
def crowd(service: Service, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, each with half a request."""
    where = (service.http.base_url.host, service.http.base_url.port or 0)
    with ExitStack() as held:
        made = [held.enter_context(socket.create_connection(where, timeout=20)) for _ in range(count)]
        for one in made:
            with_luck(lambda one=one: one.sendall(HALF))  # type: ignore[misc]
        yield made


def with_luck(step: Callable[[], object]) -> object | None:
    """What it gives; None where the service closed the connection first."""
    try:
        return step()
    except OSError:
        return None


def cpu_s(service: Service) -> float:
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def well_within(service: Service, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(service.http.base_url.join("/health"), timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, "the service does not recover"
        time.sleep(0.05)


def test_a_crowd_is_told_that_there_is_no_room_and_the_service_rests_meanwhile(narrow: Service) -> None:
    with crowd(narrow, CLIENTS) as clients:
        told = with_luck(lambda: clients[-1].recv(65536))  # the house is full, one way or the other
        assert told in (None, b"") or b"connections_taken" in told  # type: ignore[operator]
        before, began = cpu_s(narrow), time.monotonic()
        time.sleep(3)
        assert cpu_s(narrow) - before < 0.5 * (time.monotonic() - began)
        heard = select.select(clients, [], [], 0)[0]
        said = [with_luck(lambda one=one: one.recv(65536)) for one in heard]  # type: ignore[misc]
    assert sum(b"connections_taken" in words for words in said if isinstance(words, bytes)) > 0
    well_within(narrow, seconds=10)
    assert "out of system resource" not in narrow.log()


def test_every_photo_that_is_let_in_finds_its_files(narrow: Service, journal: Journal) -> None:
    with Workload(narrow, journal, threads=6).running() as people:
        people.wait_for(4)
        with crowd(narrow, CLIENTS):
            time.sleep(2)
        people.wait_for(8)
    assert {status for status, _ in people.told} <= {0, 200, 503}
    assert {code for status, code in people.told if status == 503} <= {"connections_taken", "overloaded"}
    assert "out of system resource" not in narrow.log()
    assert "Too many open files" not in narrow.log()
    audit(narrow, journal)
