"""People who send photos, look at what is kept and delete some, from several threads at once, until they are told to stop.

What they are told goes into the journal; every answer's status and code are kept too, for the test to judge.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from tests.chaos.journal import Journal, body_hash
from tests.chaos.photos import photo
from tests.service import Service

RETRY_S = 90  # far more than any fault of these tests lasts
PAUSE_S = 0.05  # after a refusal: a client that does not wait would only measure how fast it is refused


class Client:
    """Sends one request at a time and writes down what it was told. No answer at all is `None`."""

    def __init__(self, service: Service, journal: Journal) -> None:
        self._service, self._journal = service, journal
        self.told: Counter[tuple[int, str]] = (
            Counter()
        )  # (status, code), code "" for what went well; status 0: no answer

    def upload(self, number: int, key: str | None = None, *, timeout: float = 60) -> httpx.Response | None:
        self._journal.write("sent", number=number, key=key)
        headers = {"Idempotency-Key": key} if key else {}
        files = {"file": (f"{number}.jpg", photo(number), "image/jpeg")}
        answer = self._ask("POST", "/api/v1/predict", files=files, headers=headers, timeout=timeout)
        if answer is not None and answer.is_success:
            body = answer.json()
            self._journal.write("acked", number=number, key=key, id=body["prediction_id"], body=body_hash(body))
        return answer

    def delete(self, prediction_id: str) -> httpx.Response | None:
        self._journal.write("deleting", id=prediction_id)
        answer = self._ask("DELETE", f"/api/v1/db/predictions/{prediction_id}")
        if answer is not None and answer.is_success:
            self._journal.write("deleted", id=prediction_id)
        return answer

    def look(self) -> httpx.Response | None:
        return self._ask("GET", "/api/v1/db/predictions", params={"limit": 5})

    def _ask(self, method: str, path: str, **options: object) -> httpx.Response | None:
        try:
            answer = self._service.http.request(method, path, **options)  # type: ignore[arg-type]
        except (httpx.TransportError, RuntimeError):  # RuntimeError: the client was closed as the service was killed
            self.told[0, "no answer"] += 1
            return None
        code = "" if answer.is_success else answer.json()["code"]
        self.told[answer.status_code, code] += 1
        return answer


class Workload:
    """The threads, each with a client of its own. `keyed`: the part of the uploads that has an Idempotency-Key and is tried again.

    After a kill the claim of a request that was under way holds nobody up: the service sees that its process is gone.
    """

    def __init__(
        self, service: Service, journal: Journal, *, threads: int = 4, seed: int = 0, first: int = 1, keyed: float = 0.5
    ) -> None:
        self._clients = [Client(service, journal) for _ in range(threads)]
        self._seed, self._keyed = seed, keyed
        self._numbers = itertools.count(first)
        self._stop, self._acked = threading.Event(), threading.Semaphore(0)
        self._failed: list[BaseException] = []

    @property
    def told(self) -> Counter[tuple[int, str]]:
        """How often each (status, code) was the answer; (0, "no answer") where none came."""
        return sum((client.told for client in self._clients), Counter())

    @contextmanager
    def running(self) -> Iterator[Workload]:
        threads = [
            threading.Thread(target=self._work, args=(client, random.Random(f"{self._seed} {number}")))
            for number, client in enumerate(self._clients)
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(90)
        assert not any(thread.is_alive() for thread in threads), "a client is still waiting"
        assert self._failed == []

    def wait_for(self, uploads: int, within: float = 60) -> None:
        """Until so many more uploads were acknowledged."""
        for _ in range(uploads):
            assert self._acked.acquire(timeout=within), f"too few uploads went well: {self.told}"

    def _work(self, client: Client, chance: random.Random) -> None:
        try:
            while not self._stop.is_set():
                self._turn(client, chance)
        except BaseException as error:
            self._failed.append(error)

    def _turn(self, client: Client, chance: random.Random) -> None:
        """Four uploads of five, those with a key tried again; now and then a look; one in ten is deleted again."""
        if chance.random() < 0.2:
            client.look()
            return
        number = next(self._numbers)
        key = f"key-{number}" if chance.random() < self._keyed else None
        answer, end = client.upload(number, key), time.monotonic() + RETRY_S
        while key and (answer is None or not answer.is_success) and not self._stop.wait(PAUSE_S):
            assert time.monotonic() < end, f"{key} was tried for {RETRY_S} s and never answered: {self.told}"
            answer = client.upload(number, key)
        if answer is None or not answer.is_success:
            self._stop.wait(PAUSE_S)
            return
        self._acked.release()
        if chance.random() < 0.1:
            client.delete(answer.json()["prediction_id"])
