"""A stop in the middle of work (matrix row 14): what is under way ends, the rest is told to come again, nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.chaos.conftest import audit
from tests.chaos.journal import Journal, body_hash
from tests.chaos.photos import photo
from tests.chaos.workload import Workload
from tests.service import Service

UPLOADS = 20


class SlowUpload:
    """A photo that is sent in two halves."""

    def __init__(self, service: Service, journal: Journal, number: int) -> None:
        self._journal, self._number = journal, number
        where = (service.http.base_url.host, service.http.base_url.port or 0)
        self._socket = socket.create_connection(where, timeout=60)
        data = photo(number)
        head = f"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
        self._rest = data[len(data) // 2 :]
        journal.write("sent", number=number, key=None)
        self._socket.sendall(head.encode() + b"\r\n\r\n" + data[: -len(self._rest)])

    def finish(self) -> int:
        self._socket.sendall(self._rest)
        return self.answer()

    def answer(self) -> int:
        with self._socket, self._socket.makefile("rb") as file:
            status = int(file.readline().split()[1])
            body = json.loads(file.read().split(b"\r\n\r\n", 1)[1])
        if status == 200:
            self._journal.write("acked", number=self._number, key=None, id=body["prediction_id"], body=body_hash(body))
        return status


def slow_uploads(service: Service, journal: Journal) -> list[SlowUpload]:
    made = [SlowUpload(service, journal, 1000 + number) for number in range(UPLOADS)]
    end = time.monotonic() + 30
    while in_progress(service) <= UPLOADS:
        assert time.monotonic() < end, "the uploads were never all under way"
    return made


def in_progress(service: Service) -> float:
    lines = service.http.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("leafloop_requests_in_progress "))


def wait_until_stopping(service: Service) -> None:
    end = time.monotonic() + 20
    while httpx.get(service.http.base_url.join("/ready"), timeout=10).json()["status"] != "stopping":
        assert time.monotonic() < end, "the service does not stop"


@pytest.fixture
def service(new_service: Callable[..., Service]) -> Service:
    """A service in a process group of its own, with a place for every upload."""
    running = new_service(LEAFLOOP_MAX_WAITING="64")
    running.start("setsid")
    return running


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=lambda sign: sign.name)
def test_uploads_under_way_are_answered_and_new_ones_are_told_to_come_again(
    service: Service, journal: Journal, sign: signal.Signals
) -> None:
    uploads = slow_uploads(service, journal)
    os.killpg(service.process.pid, sign)  # as Ctrl-C and process managers do: its children hear it too
    wait_until_stopping(service)
    refused = httpx.post(service.http.base_url.join("/api/v1/predict"), files={"file": photo(1)}, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
    assert int(refused.headers["retry-after"]) > 0
    assert {upload.finish() for upload in uploads} <= {200, 503}  # 503: no place, as at any other time
    assert service.ended() == 0
    service.start()
    assert len(journal.acked()) > 0
    audit(service, journal)


def test_a_stop_under_load_loses_nothing(service: Service, journal: Journal) -> None:
    with Workload(service, journal).running() as people:
        people.wait_for(8)
        assert service.stop() == 0
        service.start()
        people.wait_for(4)
    assert {status for status, _ in people.told} <= {0, 200, 503}
    assert {code for status, code in people.told if status == 503} <= {"stopping", "overloaded"}
    audit(service, journal)


def test_a_second_signal_ends_it_at_once_and_loses_nothing(service: Service, journal: Journal) -> None:
    with Workload(service, journal).running() as people:
        people.wait_for(8)
        stuck = slow_uploads(service, journal)
        service.process.send_signal(signal.SIGTERM)
        wait_until_stopping(service)
        service.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert service.ended() == -signal.SIGTERM
        assert time.monotonic() - began < 10  # half of what the uploads would have been given
        service.start()
        people.wait_for(4)
    for upload in stuck:
        upload._socket.close()
    audit(service, journal)


@pytest.mark.slow
def test_uploads_that_never_end_are_told_so_after_the_grace(service: Service, journal: Journal) -> None:
    uploads = slow_uploads(service, journal)
    service.process.send_signal(signal.SIGTERM)
    assert {upload.answer() for upload in uploads} <= {408, 503}  # 408 where the pace's patience ends just before
    assert service.ended() == 0
    service.start()
    audit(service, journal)


def test_its_decoders_end_with_it(service: Service, journal: Journal) -> None:
    with Workload(service, journal).running() as people:
        people.wait_for(2)
    threads = Path(f"/proc/{service.process.pid}/task").iterdir()
    children = [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
    assert children
    service.process.send_signal(signal.SIGKILL)
    service.ended()
    end = time.monotonic() + 20
    while any(_lives(pid) for pid in children):
        assert time.monotonic() < end, "a decoder outlives its service"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
