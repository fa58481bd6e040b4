"""Forms and requests made to be expensive (matrix row 33): refused for what they are, memory flat, everybody else answered."""

from __future__ import annotations

import select
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tests.chaos.conftest import PLAIN, audit
from tests.chaos.journal import Journal
from tests.chaos.photos import photo
from tests.chaos.workload import Client
from tests.service import Service

MIB = 2**20
FORM = "multipart/form-data; boundary=cut"
WORDS = "application/x-www-form-urlencoded"
END = b"--cut--\r\n"


def part(name: str, data: bytes = b"x", *more: str) -> bytes:
    head = "\r\n".join([f'Content-Disposition: form-data; name="{name}"; filename="a"', *more])
    return b"--cut\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n"


BOMBS = {
    "10,000 parts": (FORM, b"".join(part(f"f{i}") for i in range(10_000)) + END),
    "a part's header of 1 MiB": (FORM, part("file", b"x", "X: " + "a" * MIB) + END),
    "10,000 headers of a part": (FORM, part("file", b"x", *(f"X{i}: a" for i in range(10_000))) + END),
    "a preamble of 10 MiB": (FORM, b"p" * (10 * MIB) + b"\r\n" + part("file") + END),
    "a preamble of line ends": (FORM, b"\r\n" * (5 * MIB) + part("file") + END),
    "an epilogue of 10 MiB": (FORM, part("file") + END + b"e" * (10 * MIB)),
    "an epilogue of line ends": (FORM, part("file") + END + b"\r\n" * (5 * MIB)),
    "a photo of line ends": (FORM, part("file", b"\r\n" * (5 * MIB)) + END),
    "a photo of boundaries, nearly": (FORM, part("file", b"\r\n--cu" * (2 * MIB)) + END),
    "a million fields": (WORDS, b"a&" * 1_000_000),
    "the fields that fit": (WORDS, b"a&" * 32_000),
    "brackets": ("application/json", b"[" * 60_000),
}


@pytest.fixture(scope="module")
def bombed(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[Service]:
    """One service for all of them: what one leaves behind, the next would show."""
    folder = tmp_path_factory.mktemp("bombed")
    shutil.copytree(prepared, folder / "home")
    service = Service(folder / "home", PLAIN)
    service.start()
    yield service
    service.kill()


def memory(service: Service) -> int:
    """What the process holds, in bytes."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@contextmanager
def others_are_answered(service: Service) -> Iterator[None]:
    """`/health` all the while, from elsewhere; a second without an answer is too long, on any machine."""
    began_to_ask, ended, slowest = threading.Event(), threading.Event(), [0.0]

    def ask() -> None:
        with httpx.Client(base_url=service.http.base_url, timeout=60) as http:
            http.get("/health").raise_for_status()
            began_to_ask.set()
            while not ended.is_set():
                began = time.monotonic()
                http.get("/health").raise_for_status()
                slowest[0] = max(slowest[0], time.monotonic() - began)
                ended.wait(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    assert began_to_ask.wait(30)
    try:
        yield
    finally:
        ended.set()
        asking.join(60)
    assert 0 < slowest[0] < 1


@contextmanager
def memory_stays(service: Service, within: int) -> Iterator[None]:
    before = memory(service)
    yield
    assert memory(service) - before < within


@pytest.mark.parametrize("path", ["/api/v1/predict", "/photos"])
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_while_others_are_answered(bombed: Service, name: str, path: str) -> None:
    kind, content = BOMBS[name]
    with memory_stays(bombed, 64 * MIB), others_are_answered(bombed):
        answer = bombed.http.post(path, content=content, headers={"Content-Type": kind})
    assert answer.status_code in (400, 413, 415, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("piece", [1, 16, 65536])
def test_a_body_without_end_is_refused_while_it_comes(bombed: Service, piece: int) -> None:
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (piece, b"\xff" * piece)
    with memory_stays(bombed, 128 * MIB), others_are_answered(bombed), connection(bombed) as client:
        client.sendall(head)
        sent, end = 0, time.monotonic() + 60
        while not arrived(client) and time.monotonic() < end:
            with suppress(ConnectionError):
                client.sendall(chunk * (65536 // len(chunk) + 1))
            sent += 65536
        said = client.recv(4096)
    assert said.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
    assert sent < 128 * MIB  # of the 5 GB that somebody might send


@contextmanager
def connection(service: Service) -> Iterator[socket.socket]:
    where = (service.http.base_url.host, service.http.base_url.port or 0)
    with socket.create_connection(where, timeout=60) as client:
        yield client


def arrived(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def test_a_length_that_is_too_short_cuts_the_form_and_what_is_left_is_no_request(bombed: Service) -> None:
    form = part("file", photo(1)) + END
    head = f"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: {len(form) // 2}\r\n\r\n"
    with connection(bombed) as client:
        client.sendall(head.encode() + form)
        with client.makefile("rb") as file:
            said = file.read()
    assert said.startswith(b"HTTP/1.1 422")
    assert said.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400" in said


def test_a_range_of_thousands_of_pieces_gets_the_whole_photo_or_none(service: Service, journal: Journal) -> None:
    kept = Client(service, journal).upload(1)
    assert kept is not None
    url = f"/api/v1/db/predictions/{kept.json()['prediction_id']}/photo"
    whole = service.http.get(url)
    for count, status in ((2_000, 200), (10_000, 431)):
        pieces = ",".join(f"{i}-{i}" for i in range(count))
        answer = service.http.get(url, headers={"Range": f"bytes={pieces}"})
        assert answer.status_code == status
        assert status != 200 or answer.content == whole.content
    audit(service, journal)
