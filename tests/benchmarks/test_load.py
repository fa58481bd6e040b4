"""The callers of the load test: when requests are due, and what is said of their answers."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from benchmarks import load, under_load
from benchmarks.load import Answer

T = TypeVar("T")


def in_a_loop_of_its_own(work: Coroutine[Any, Any, T]) -> T:
    """In a thread, since a browser's test in this process may have left a loop running in ours."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result(60)


def test_requests_are_due_at_the_asked_rate_and_the_same_for_a_seed():
    due = load.schedule(5.0, 400, seed=3)
    assert due == load.schedule(5.0, 400, seed=3) != load.schedule(5.0, 400, seed=4)
    assert len(due) == pytest.approx(2000, rel=0.1)
    assert due == sorted(due)
    assert due[0] > 0
    assert due[-1] < 400


def test_gaps_between_requests_are_those_of_a_poisson_process():
    gaps = np.diff(load.schedule(10.0, 1000, seed=0))
    assert gaps.mean() == pytest.approx(0.1, rel=0.05)
    assert gaps.std() == pytest.approx(0.1, rel=0.1)  # of an even beat it would be 0


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no requests"):
        load.schedule(0, 10, seed=0)


def test_a_percentile_is_a_value_that_was_measured():
    assert load.percentile([3, 1, 2], 0.5) == 2
    assert load.percentile(range(1, 101), 0.99) == 99
    assert load.percentile([1, 5], 0.99) == 5
    assert math.isnan(load.percentile([], 0.5))


def test_refused_requests_are_told_apart_from_accepted_ones():
    answers = [Answer(200, 100), Answer(200, 300), Answer(503, 4, retry_after=True), Answer(503, 6), Answer(0, 60_000)]
    told = load.summary(answers)
    assert (told["sent"], told["accepted"], told["refused_503"], told["failed"]) == (5, 2, 2, 1)
    assert (told["p50_ms"], told["max_ms"], told["refused_p99_ms"]) == (100, 300, 6)
    assert told["refused_with_retry_after"] == 1


def test_the_bars_are_for_the_worst_of_every_part_and_for_health_where_photos_were_refused():
    part = {"accepted": 1, "refused_503": 0, "max_ms": 100.0, "refused_p99_ms": None}
    full = {"accepted": 1, "refused_503": 3, "max_ms": 200.0, "refused_p99_ms": 5.0}
    crowd = {"accepted": 9, "refused_503": 1, "max_ms": 900.0, "refused_p99_ms": 40.0}
    steps = [{**part, "health_p99_ms": 70.0}, {**full, "health_p99_ms": 9.0}]
    told = under_load.worst({"steps": steps, "closed_loop_16": crowd})
    assert told == {"refused_p99_ms": 40.0, "accepted_max_ms": 900.0, "health_p99_ms": 9.0}
    idle = under_load.worst({"steps": steps[:1], "closed_loop_16": part})
    assert idle == {"refused_p99_ms": None, "accepted_max_ms": 100.0, "health_p99_ms": None}


def test_a_summary_of_nothing_has_no_number_that_json_cannot_hold():
    assert load.summary([])["p99_ms"] is None


def test_latency_counts_from_when_a_request_was_due_so_that_a_stall_is_everybodys(tmp_path: Path):
    """A service that answers one at a time and takes 0.2 s each: of ten requests due at once the last waits for all others."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")

    async def run() -> list[Answer]:
        turn = asyncio.Lock()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(b"a photo"))
            async with turn:
                await asyncio.sleep(0.2)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            callers = load.Callers("127.0.0.1", server.sockets[0].getsockname()[1], [photo])
            return await callers.send([0.0] * 10)

    answers = in_a_loop_of_its_own(run())
    times = sorted(a.ms for a in answers)
    assert [a.status for a in answers] == [200] * 10
    assert times[0] >= 190
    assert times[-1] >= 1900


def test_a_refusal_that_comes_before_the_body_was_read_is_still_seen(tmp_path: Path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(bytes(100_000))

    async def run() -> list[Answer]:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            while await reader.read(65536):
                pass
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with server:
            return await load.Callers("127.0.0.1", server.sockets[0].getsockname()[1], [photo]).send([0.0])

    (answer,) = in_a_loop_of_its_own(run())
    assert (answer.status, answer.retry_after) == (503, True)


def test_nobody_there_is_a_failure_and_no_crash(tmp_path: Path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")
    began = time.monotonic()
    (answer,) = in_a_loop_of_its_own(load.Callers("127.0.0.1", 1, [photo]).send([0.0]))
    assert answer.status == 0
    assert time.monotonic() - began < load.PATIENCE_S


def test_health_is_asked_twenty_times_a_second_by_a_process_that_sends_nothing_else():
    class Healthy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with load.probing_health("127.0.0.1", server.server_port) as answers:
            time.sleep(1)
        server.shutdown()
    assert {a.status for a in answers} == {200}
    assert 10 <= len(answers) <= 30
