"""The edge below every route: slow clients, full houses, early answers that arrive, and requests that nobody should read two ways."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.api.serving import served

from leafloop import settings
from leafloop.api import body, problems
from leafloop.api.deadlines import Deadlines, Pace
from leafloop.api.descriptors import FILES_OF_A_REQUEST, MOST, TURNED_AWAY_AT_ONCE, Room, connections_within
from leafloop.errors import LeafloopError, Overloaded

SHORT = Deadlines(head_s=0.4, stall_s=0.6, linger_s=0.8, look_s=0.05)
LONG = Deadlines(head_s=60, stall_s=60, linger_s=60, look_s=0.05)
PATIENCE_S = 20.0  # of the tests: what must happen happens much sooner
ONE_MIB = 1024 * 1024
LARGE = 32 * ONE_MIB  # more than the system's buffers take of an answer that nobody reads


def app(deadlines: Deadlines) -> Starlette:
    async def count(request: Request) -> JSONResponse:
        return JSONResponse({"bytes": len(await request.body())})

    async def refuse(request: Request) -> JSONResponse:
        raise Overloaded

    async def large(request: Request) -> Response:
        return Response(bytes(LARGE))

    async def rest(request: Request) -> JSONResponse:
        await asyncio.sleep(3 * SHORT.stall_s)
        return JSONResponse("rested")

    async def said(request: Request, error: Exception) -> Response:
        assert isinstance(error, LeafloopError)
        return problems.of_error(error).response(request.scope)

    routes = [
        Route("/count", count, methods=["POST"]),
        Route("/refuse", refuse, methods=["POST"]),
        Route("/large", large),
    ]
    made = Starlette(routes=[*routes, Route("/rest", rest)], exception_handlers={LeafloopError: said})
    made.add_middleware(body.BoundedBody, settings=settings.load({}, dotenv=None), deadlines=deadlines)
    return made


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def problem(self) -> tuple[int, str]:
        assert self.headers["content-type"] == "application/problem+json"
        return self.status, json.loads(self.content)["code"]


class Client:
    """A socket to a server, which says what no HTTP library would, as slowly as it likes."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def trickle(self, piece: bytes, every_s: float) -> None:
        """Send a piece again and again, until the server says something or closes."""
        self.socket.settimeout(every_s)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                self.socket.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                self.socket.sendall(piece)
        self.socket.settimeout(PATIENCE_S)

    def answer(self) -> Answer:
        """The next answer, read to its end and no further."""
        with self.socket.makefile("rb", buffering=0) as file:
            status = int(file.readline().split()[1])
            headers = {}
            while line := file.readline().strip():
                name, _, value = line.decode().partition(": ")
                headers[name.lower()] = value
            content = b""
            while len(content) < int(headers["content-length"]):
                content += file.read(int(headers["content-length"]) - len(content)) or b""
        return Answer(status, headers, content)

    def rest(self) -> bytes:
        """Everything until the server closes; a reset is a close."""
        found = b""
        try:
            while piece := self.socket.recv(65536):
                found += piece
        except ConnectionResetError:
            pass
        return found


@pytest.fixture(scope="module")
def hasty() -> Iterator[str]:
    """A server that loses its patience soon."""
    with served(app(SHORT), deadlines=SHORT) as address:
        yield address


@pytest.fixture(scope="module")
def patient() -> Iterator[str]:
    with served(app(LONG), deadlines=LONG) as address:
        yield address


@pytest.fixture
def client(hasty: str) -> Iterator[Client]:
    with closing(Client(hasty)) as one:
        yield one


@pytest.fixture
def calm(patient: str) -> Iterator[Client]:
    with closing(Client(patient)) as one:
        yield one


def head(path: str, *more: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *more, "", ""]).encode()


# Slow clients


def test_who_says_nothing_is_let_go_without_a_word(client: Client) -> None:
    assert client.rest() == b""


def test_half_a_request_is_told_that_it_took_too_long(client: Client) -> None:
    client.send(b"GET /large HTTP/1.1\r\nHost:")
    answer = client.answer()
    assert answer.problem == (408, "request_timeout")
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"] == json.loads(answer.content)["request_id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.rest() == b""


def test_headers_that_come_byte_by_byte_have_no_more_time_than_others(client: Client) -> None:
    client.send(b"GET /large HTTP/1.1\r\nHost: a\r\nX: ")
    client.trickle(b"x", every_s=0.05)
    assert client.answer().problem == (408, "request_timeout")


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_body_that_stops_coming_is_given_up(client: Client, framing: str) -> None:
    client.send(head("/count", "Content-Type: image/jpeg", framing) + b"5\r\nleaf")
    answer = client.answer()
    assert answer.problem == (408, "request_timeout")
    assert answer.headers["connection"] == "close"
    assert client.rest() == b""


def test_a_body_that_comes_byte_by_byte_is_given_up(client: Client) -> None:
    client.send(head("/count", "Content-Type: image/jpeg", "Content-Length: 100000"))
    client.trickle(b"x", every_s=0.05)
    assert client.answer().problem == (408, "request_timeout")


def test_an_answer_that_nobody_reads_is_not_kept_for_ever(client: Client) -> None:
    client.send(head("/large", method="GET"))
    time.sleep(4 * SHORT.stall_s)  # what is read after this was on its way; nothing more was sent
    assert len(client.rest()) < LARGE


def test_who_waits_for_his_answer_is_not_slow(client: Client) -> None:
    client.send(head("/rest", method="GET"))
    assert client.answer().content == b'"rested"'


def test_who_asks_before_he_sends_is_not_slow_before_he_was_told_to(calm: Client) -> None:
    calm.send(head("/count", "Content-Length: 4", "Expect: 100-continue"))
    with calm.socket.makefile("rb", buffering=0) as file:
        assert file.readline().startswith(b"HTTP/1.1 100")
        file.readline()
    calm.send(b"leaf")
    assert json.loads(calm.answer().content) == {"bytes": 4}


def test_a_stall_costs_patience_and_what_moves_gives_it_back() -> None:
    pace = Pace(20, bytes_per_s=5000)
    pace.went(15, 0)
    assert pace.left_s == 5
    pace.went(1, 40_000)
    assert pace.left_s == 12
    pace.went(1, 10_000_000)
    assert pace.left_s == 20  # nobody saves it up


def test_whoever_stays_slower_than_the_pace_loses_all_patience_and_whoever_keeps_it_none() -> None:
    slow, fair = Pace(20, bytes_per_s=5000), Pace(20, bytes_per_s=5000)
    for _ in range(26):
        slow.went(1, 1000)
        fair.went(1, 5000)
    assert slow.left_s <= 0
    assert fair.left_s == 20


# Answers before the body has come


def test_a_refusal_is_said_before_the_body_has_come_and_the_connection_goes_on(calm: Client) -> None:
    calm.send(head("/refuse", "Content-Type: image/jpeg", f"Content-Length: {ONE_MIB}") + bytes(1000))
    assert calm.answer().problem == (503, "overloaded")
    calm.send(bytes(ONE_MIB - 1000) + head("/count", "Content-Length: 4") + b"leaf")
    assert json.loads(calm.answer().content) == {"bytes": 4}


def test_a_refusal_that_closes_is_read_by_who_is_still_sending(patient: str) -> None:
    for _ in range(10):  # closed at once, some of these would be reset before the answer is read
        with closing(Client(patient)) as one:
            one.send(head("/refuse", "Connection: close", f"Content-Length: {8 * ONE_MIB}") + bytes(ONE_MIB))
            one.send(bytes(7 * ONE_MIB))
            assert one.answer().problem == (503, "overloaded")
            assert one.rest() == b""


@pytest.mark.parametrize("more", [(), ("Connection: close",)], ids=["kept", "closing"])
def test_who_never_stops_sending_after_his_answer_is_cut_off(client: Client, more: tuple[str, ...]) -> None:
    client.send(head("/refuse", "Transfer-Encoding: chunked", *more))
    assert client.answer().problem == (503, "overloaded")
    end = time.monotonic() + PATIENCE_S
    with pytest.raises(OSError):
        while time.monotonic() < end:
            client.send(b"1000\r\n" + bytes(4096) + b"\r\n")
            time.sleep(0.01)


# A full house


def test_one_connection_too_many_is_told_so_and_there_is_room_again_when_one_leaves() -> None:
    room = Room(threads=4)
    room.most = 2
    with served(app(LONG), deadlines=LONG, room=room) as address:
        first, second = Client(address), Client(address)
        for one in (first, second):
            one.send(head("/count", "Content-Length: 4") + b"leaf")
            assert one.answer().status == 200
        with closing(Client(address)) as third:
            third.send(head("/count", "Content-Length: 4") + b"leaf")
            answer = third.answer()
            assert answer.problem == (503, "connections_taken")
            assert answer.headers["retry-after"] == "2"
            assert third.rest() == b""
        first.close()
        assert wait_for_an_answer(address) == 200
        second.close()
    assert not room.turned_away


def wait_for_an_answer(address: str) -> int:
    end = time.monotonic() + PATIENCE_S
    while True:
        with closing(Client(address)) as one:
            one.send(head("/count", "Content-Length: 4") + b"leaf")
            status = one.answer().status
        if status != 503 or time.monotonic() > end:
            return status
        time.sleep(0.02)


def test_those_who_are_turned_away_and_stay_get_no_more_room_either() -> None:
    room = Room(threads=4)
    room.most = 1
    with served(app(LONG), deadlines=LONG, room=room) as address, closing(Client(address)) as inside:
        inside.send(head("/count", "Content-Length: 4") + b"leaf")
        assert inside.answer().status == 200
        crowd = [Client(address) for _ in range(3 * TURNED_AWAY_AT_ONCE)]
        said = [one.rest() for one in crowd]
        assert sum(b"connections_taken" in words for words in said) >= TURNED_AWAY_AT_ONCE
        assert b"" in said
        for one in crowd:
            one.close()


@pytest.mark.parametrize("free", [0, 40, 64, 100, 250, 500, 1000, 5000, 1_000_000])
@pytest.mark.parametrize("threads", [17, 32, 100])
def test_every_request_that_can_be_under_way_finds_its_files(free: int, threads: int) -> None:
    connections = connections_within(free, threads)
    assert 1 <= connections <= MOST
    if connections > 1:
        assert connections + min(connections, threads) * FILES_OF_A_REQUEST + TURNED_AWAY_AT_ONCE < free


def test_an_ordinary_limit_leaves_room_for_hundreds() -> None:
    assert connections_within(1000, threads=32) > 600
    assert connections_within(1_000_000, threads=32) == MOST


# Requests that two servers might read in two ways

SMUGGLED = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
DOUBTFUL: dict[str, bytes] = {
    "a length and chunks": head("/count", "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "chunks and a length": head("/count", "Transfer-Encoding: chunked", "Content-Length: 4") + b"0\r\n\r\n" + SMUGGLED,
    "chunks from HTTP/1.0": b"POST /count HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": head("/count", "Content-Length: 4", "Content-Length: 30") + b"leaf" + SMUGGLED,
    "a list of lengths": head("/count", "Content-Length: 4, 30") + b"leaf" + SMUGGLED,
    "a length with a sign": head("/count", "Content-Length: +4") + b"leaf" + SMUGGLED,
    "a length in hex": head("/count", "Content-Length: 0x4") + b"leaf" + SMUGGLED,
    "a length below zero": head("/count", "Content-Length: -1") + SMUGGLED,
    "a length without end": head("/count", "Content-Length: " + "9" * 40) + SMUGGLED,
    "two codings": head("/count", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + b"0\r\n\r\n" + SMUGGLED,
    "a coding of no name": head("/count", "Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SMUGGLED,
    "a coding after a tab": head("/count", "Transfer-Encoding:\tchunked", "Content-Length: 4") + b"0\r\n\r\n" + SMUGGLED,
    "a coding after a vertical tab": head("/count", "Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n" + SMUGGLED,
    "a coding on a folded line": head("/count", "Transfer-Encoding:\r\n chunked", "Content-Length: 4") + b"0\r\n\r\n" + SMUGGLED,
    "a space before the colon": head("/count", "Content-Length : 4") + b"leaf" + SMUGGLED,
    "a first header that is folded": b"GET /large HTTP/1.1\r\n Host: a\r\n\r\n",
    "a bare CR": b"GET /large HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "a NUL": head("/large", "X: a\0b", method="GET"),
    "no host": b"GET /large HTTP/1.1\r\n\r\n",
    "two hosts": head("/large", "Host: b", method="GET"),
    "no version": b"GET /large\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "a broken chunk": head("/count", "Transfer-Encoding: chunked") + b"zz\r\nleaf\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk that is longer than it says": head("/count", "Transfer-Encoding: chunked") + b"2\r\nleaf\r\n0\r\n\r\n" + SMUGGLED,
    "crumbs": head("/count", "Transfer-Encoding: chunked") + b"1\r\na\r\n" * 5000 + SMUGGLED,
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_doubtful_request_is_refused_and_nothing_behind_it_is_read(calm: Client, name: str) -> None:
    calm.send(DOUBTFUL[name])
    assert calm.answer().problem == (400, "bad_request")
    calm.socket.shutdown(socket.SHUT_WR)
    assert calm.rest() == b""


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /count HTTP/1.1\nHost: a\nContent-Length: 32\n\n",
        head("/count", "X: a\r\n b", "Content-Length: 32"),
        head("/count", "Content-Length: 32", "Content-Length: 32"),
    ],
    ids=["bare LF", "a folded line", "one length twice"],
)
def test_what_http_lets_us_read_is_read_in_one_way(calm: Client, request_: bytes) -> None:
    calm.send(request_ + SMUGGLED)
    assert json.loads(calm.answer().content) == {"bytes": len(SMUGGLED)}
    calm.socket.shutdown(socket.SHUT_WR)
    assert calm.rest() == b""


@pytest.mark.parametrize(
    "request_",
    [
        head("/large", "X: " + "a" * ONE_MIB, method="GET"),
        head("/large", *(f"X-{i}: a" for i in range(10_000)), method="GET"),
        head("/large", *("a:" for _ in range(101)), method="GET"),
        head("/" + "a" * ONE_MIB, method="GET"),
    ],
    ids=["one of 1 MiB", "10,000", "101 short ones", "an address of 1 MiB"],
)
def test_headers_without_measure_are_refused(calm: Client, request_: bytes) -> None:
    calm.send(request_)
    assert calm.answer().problem == (431, "headers_too_large")


def test_refusals_are_counted(calm: Client) -> None:
    def refused() -> float:
        return REGISTRY.get_sample_value("leafloop_connections_refused_total", {"code": "bad_request"}) or 0

    before: Any = refused()
    calm.send(b"nonsense\r\n\r\n")
    assert calm.answer().status == 400
    assert refused() == before + 1
