"""Another process holds SQLite's write lock (matrix row 19): a photo waits its 5 s and is refused by name; nobody else notices."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpx
from tests.chaos.conftest import audit, counted, ready, well_within
from tests.chaos.journal import Journal
from tests.chaos.workload import Client
from tests.servers import wait_until
from tests.service import Service

CROWD = 40  # more than connections, and more than threads


@contextmanager
def locked(service: Service) -> Iterator[None]:
    with closing(sqlite3.connect(service.home / "leafloop.db", isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_database_locked_by_another_process_refuses_photos_and_stalls_nothing(
    service: Service, journal: Journal
) -> None:
    client = Client(service, journal)
    kept = client.upload(1, "before")
    assert kept is not None
    other = sqlite3.connect(service.home / "leafloop.db", isolation_level=None, timeout=10)
    other.execute("BEGIN IMMEDIATE")
    refused: list[httpx.Response | None] = []
    uploads = [
        threading.Thread(target=lambda number=number, key=key: refused.append(client.upload(number, key)))
        for number, key in ((2, None), (3, "locked"), (4, None))
    ]
    for upload in uploads:
        upload.start()
    looks = 0
    while any(upload.is_alive() for upload in uploads):
        assert service.http.get("/health", timeout=2).status_code == 200  # the event loop is not stalled
        assert service.http.get(f"/api/v1/db/predictions/{kept.json()['prediction_id']}", timeout=10).status_code == 200
        looks += 1
    assert looks > 3
    told = [(answer.status_code, answer.json()["code"]) for answer in refused if answer is not None]
    assert told == [(503, "database_busy")] * 3
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused if answer is not None)
    assert client.upload(1, "before").json() == kept.json()  # type: ignore[union-attr]  # an answer that is kept needs no lock
    assert counted(service, 'leafloop_problems_total{code="database_busy"}') == 3
    assert {line["code"] for line in service.events("request") if line["status"] == 503} == {"database_busy"}

    other.execute("ROLLBACK")
    other.close()
    for number, key in ((2, None), (3, "locked"), (4, None)):
        assert client.upload(number, key).status_code == 200  # type: ignore[union-attr]
    audit(service, journal)


def test_however_many_writers_wait_for_the_lock_readers_are_answered(service: Service, journal: Journal) -> None:
    kept = Client(service, journal).upload(1, "before")
    assert kept is not None
    answer = f"/api/v1/db/predictions/{kept.json()['prediction_id']}"
    clients = [Client(service, journal) for _ in range(CROWD)]
    looks = 0
    with locked(service), ThreadPoolExecutor(CROWD) as crowd:
        waiting = [crowd.submit(client.upload, number, f"k{number}") for number, client in enumerate(clients, 2)]
        time.sleep(0.5)
        while not all(upload.done() for upload in waiting):
            began = time.monotonic()
            read = service.http.get(answer)
            assert read.status_code == 200, read.text
            # 2 s, after which a writer that has no turn is refused, and a machine that is busy with the crowd.
            assert time.monotonic() - began < 5
            looks += 1
    assert looks > 3
    told = [upload.result() for upload in waiting]
    codes = {(refused.status_code, refused.json()["code"]) for refused in told if refused is not None}
    assert codes <= {(503, "database_busy"), (503, "database_unavailable"), (503, "overloaded")}
    assert (503, "database_busy") in codes
    audit(service, journal)


def test_a_service_whose_every_write_is_refused_is_not_ready_until_one_goes_through(
    service: Service, journal: Journal
) -> None:
    up = 'leafloop_dependency_up{part="database"}'
    client = Client(service, journal)
    with locked(service):
        assert client.upload(1).status_code == 503  # type: ignore[union-attr]
        assert service.http.get("/ready").status_code == 503
        assert ready(service)["database"]["state"] == "down"
        assert "locked" in ready(service)["database"]["detail"]
        wait_until(lambda: counted(service, up) == 0, "the metric", within=20)
        assert client.look().status_code == 200  # type: ignore[union-attr]
    well_within(service, 10)  # by itself: nobody sends a photo where they are not taken
    wait_until(lambda: counted(service, up) == 1, "the metric", within=10)
    assert client.upload(1).status_code == 200  # type: ignore[union-attr]
    audit(service, journal)
