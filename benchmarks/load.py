"""Callers of a service who do not wait for each other: an open loop, latency from the moment at which a request was due.

Callers who wait for their answer before they ask again (a closed loop: wrk, locust, ab) stop asking while a service stalls, and
the stall is then one slow request instead of all those that it kept waiting ("coordinated omission", Gil Tene). Here requests are
due at the times of a Poisson process, drawn from a seed; each is sent at its time, whatever became of those before it, and its
latency counts from that time, so that a late sender is counted too. Knows HTTP/1.1 and loopback, not Leafloop.
"""

from __future__ import annotations

import asyncio
import http.client
import math
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

PREDICT = "/api/v1/predict"
PATIENCE_S = 60.0  # far above the 10 s that an accepted request may take, so that a broken bar is seen as a number
HEALTH_EVERY_S = 0.05


@dataclass(frozen=True)
class Answer:
    """status 0: no answer at all. Milliseconds from the moment at which the request was due."""

    status: int
    ms: float
    retry_after: bool = False


def schedule(rate: float, seconds: float, seed: int) -> list[float]:
    """When requests are due, in seconds from the start: a Poisson process of `rate` a second."""
    if rate <= 0:
        raise ValueError(f"no requests at {rate} a second")
    rng, at, due = np.random.default_rng(seed), 0.0, []
    while (at := at + float(rng.exponential(1 / rate))) < seconds:
        due.append(at)
    return due


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: a value that was measured. Of fewer than 100 values the 99th percentile is the largest."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def summary(answers: Sequence[Answer]) -> dict[str, float | int | None]:
    """Accepted and refused requests apart: a quick 503 must not make the answers look quick."""
    accepted = [a.ms for a in answers if a.status == 200]
    refused = [a for a in answers if a.status == 503]
    return {
        "sent": len(answers),
        "accepted": len(accepted),
        "refused_503": len(refused),
        "refused_with_retry_after": sum(a.retry_after for a in refused),
        "failed": len(answers) - len(accepted) - len(refused),
        "p50_ms": _rounded(percentile(accepted, 0.5)),
        "p95_ms": _rounded(percentile(accepted, 0.95)),
        "p99_ms": _rounded(percentile(accepted, 0.99)),
        "max_ms": _rounded(max(accepted, default=math.nan)),
        "refused_p50_ms": _rounded(percentile([a.ms for a in refused], 0.5)),
        "refused_p99_ms": _rounded(percentile([a.ms for a in refused], 0.99)),
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 1)  # JSON has no NaN


class Callers:
    """Sends photos to one service. Each of the files is sent in its turn, so that few are sent, and stored, twice."""

    def __init__(self, host: str, port: int, photos: Sequence[Path]) -> None:
        self._host, self._port, self._photos = host, port, cycle(photos)

    def at_rate(self, rate: float, seconds: float, seed: int) -> list[Answer]:
        """Open loop."""
        return asyncio.run(self.send(schedule(rate, seconds, seed)))

    def in_turn(self, callers: int, seconds: float) -> tuple[list[Answer], float]:
        """Closed loop: so many callers, each of whom asks again when it is answered. Answers, and the seconds that it took.

        For memory under load and for the rate at which the service is full; its latencies are not to be compared.
        """
        began = time.perf_counter()
        answers = asyncio.run(self._closed(callers, seconds))
        return answers, time.perf_counter() - began

    async def send(self, due: Sequence[float]) -> list[Answer]:
        """One request at each of these times, in seconds from now."""
        began = time.perf_counter()

        async def one(at: float, photo: Path) -> Answer:
            await asyncio.sleep(began + at - time.perf_counter())
            return await self._post(photo, began + at)

        return await asyncio.gather(*(one(at, next(self._photos)) for at in due))

    async def _closed(self, callers: int, seconds: float) -> list[Answer]:
        end, answers = time.perf_counter() + seconds, []

        async def caller() -> None:
            while time.perf_counter() < end:
                answer = await self._post(next(self._photos), time.perf_counter())
                answers.append(answer)
                if answer.status != 200:
                    await asyncio.sleep(
                        0.2
                    )  # a caller who is sent away and comes back at once would only warm the processor

        await asyncio.gather(*(caller() for _ in range(callers)))
        return answers

    async def _post(self, photo: Path, due: float) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, retry_after = await self._exchange(photo.read_bytes())
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            status, retry_after = 0, False
        return Answer(status, 1000 * (time.perf_counter() - due), retry_after)

    async def _exchange(self, body: bytes) -> tuple[int, bool]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        head = (
            f"POST {PREDICT} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:
            writer.write(head.encode() + body)
            return await _answer(reader)  # at once: a refusal may come before the body is sent
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Status, and whether it says when to come again. The whole answer is read."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(length)
    return int(head.split()[1]), "\r\nretry-after:" in head


@contextmanager
def probing_health(host: str, port: int) -> Iterator[list[Answer]]:
    """`GET /health` twenty times a second on a connection of its own, while the block runs. Answers are there when it has ended.

    By a process of its own: in a thread it would wait for the interpreter that sends the photos, and measure that.
    """
    answers: list[Answer] = []
    ours, theirs = multiprocessing.Pipe()
    prober = multiprocessing.get_context("spawn").Process(target=_probe, args=(host, port, theirs), daemon=True)
    prober.start()
    ours.recv()  # it has begun
    try:
        yield answers
    finally:
        ours.send("enough")
        answers += ours.recv()
        prober.join()


def _probe(host: str, port: int, told: Connection) -> None:
    """Ask until told that it is enough, then tell the answers."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    answers: list[Answer] = []
    told.send("begun")
    due = time.perf_counter()
    while not told.poll(max(0.0, due - time.perf_counter())):
        answers.append(_asked(connection, due))
        due += HEALTH_EVERY_S
    connection.close()
    told.recv()
    told.send(answers)


def _asked(connection: http.client.HTTPConnection, due: float) -> Answer:
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
        status = answer.status
    except (OSError, http.client.HTTPException):
        connection.close()
        status = 0
    return Answer(status, 1000 * (time.perf_counter() - due))
