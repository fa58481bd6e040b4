"""PostgreSQL killed, stopped, frozen and full, under load (matrix rows 15 to 18): only 503, nothing lost, well again by itself."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import httpx
import psycopg
import pytest
from tests.chaos.conftest import audit, ready
from tests.chaos.journal import Journal
from tests.chaos.photos import photo
from tests.chaos.remote.conftest import DATABASE_AWAY, WELL, Remote, timed, until_next_ack, well_after
from tests.chaos.workload import Client, Workload
from tests.servers import PostgresServer
from tests.service import Service


@pytest.fixture(autouse=True)
def _running(database: PostgresServer) -> Iterator[None]:
    yield
    if database.process.poll() is not None:
        database.start()


def _told_the_truth(people: Workload) -> None:
    assert set(people.told) <= WELL | DATABASE_AWAY, people.told


def _kill_in_commits(people: Workload, database: PostgresServer, journal: Journal, kills: int) -> None:
    chance = random.Random(kills)
    with people.running():
        for _ in range(kills):
            people.wait_for(2)
            time.sleep(chance.uniform(0, 0.3))  # some instant of an upload, of which each takes about as long
            database.stop(signal.SIGKILL)
            database.start()
            until_next_ack(journal)
    _told_the_truth(people)


def test_killed_at_any_moment_it_loses_and_doubles_nothing(
    service: Service, people: Workload, database: PostgresServer, journal: Journal
) -> None:
    _kill_in_commits(people, database, journal, kills=3)
    audit(service, journal)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_fifty_times_it_loses_and_doubles_nothing(
    service: Service, people: Workload, database: PostgresServer, journal: Journal
) -> None:
    _kill_in_commits(people, database, journal, kills=50)
    assert people.told.keys() & DATABASE_AWAY, "no request met a database that was away"
    audit(service, journal)


def test_an_answer_whose_commit_is_in_doubt_is_settled_by_the_senders_retry(
    service: Service, database: PostgresServer, journal: Journal
) -> None:
    sender = Client(service, journal)
    database.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")  # commits are written, and then never said
    database.run("SELECT pg_reload_conf()")
    try:
        doubtful = sender.upload(1, "in-doubt")
        assert doubtful is not None
        assert (doubtful.status_code, doubtful.json()["code"]) in DATABASE_AWAY
    finally:
        database.stop(signal.SIGKILL)
        (database.folder / "data" / "postgresql.auto.conf").write_text("")
        database.start()
    well_after(service)
    answer = sender.upload(1, "in-doubt")
    assert answer is not None
    assert answer.status_code == 200
    audit(service, journal)


def test_stopped_and_started_under_load_it_heals_without_a_restart(
    service: Service, people: Workload, database: PostgresServer, journal: Journal
) -> None:
    with people.running():
        for away_s in (0.0, 2.0):
            people.wait_for(4)
            database.stop()
            time.sleep(away_s)
            database.start()
            until_next_ack(journal)
    _told_the_truth(people)
    audit(service, journal)
    assert service.events("part is away")
    assert service.events("part is back")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stopped_and_started_for_three_minutes_it_heals_each_time(
    service: Service, people: Workload, database: PostgresServer, journal: Journal
) -> None:
    chance, end, healed = random.Random(16), time.monotonic() + 180, []
    with people.running():
        while time.monotonic() < end:
            time.sleep(chance.uniform(2, 10))
            database.stop()
            time.sleep(chance.uniform(0, 2))
            database.start()
            healed.append(until_next_ack(journal))
    _told_the_truth(people)
    assert max(healed) < 5, healed
    audit(service, journal)


def _ask(service: Service, number: int) -> httpx.Response:
    with httpx.Client(base_url=service.http.base_url, timeout=60) as client:
        return client.post("/api/v1/predict", files={"file": photo(number)})


def test_frozen_it_refuses_in_time_stays_alive_and_lets_no_threads_pile_up(
    service: Service, database: PostgresServer, journal: Journal
) -> None:
    Client(service, journal).upload(1)
    with ThreadPoolExecutor(48) as crowd, database.frozen():
        asked = [crowd.submit(timed, lambda number=number: _ask(service, number)) for number in range(48)]
        slowest = max(timed(lambda: service.http.get("/health"))[1] for _ in range(50))
        state, seconds = timed(lambda: service.http.get("/ready"))
        assert slowest < 5  # what a request that waits for the database is given; /health does not
        assert (state.status_code, state.json()["database"]["state"]) == (503, "down")
        assert state.json()["objects"]["state"] == "up"
        assert seconds < 15
        for answer, seconds in (done.result(60) for done in asked):
            assert (answer.status_code, answer.json()["code"]) in DATABASE_AWAY
            assert answer.headers["retry-after"]
            assert seconds < 15  # its own deadline is 5 s; two cores and 48 clients are not counted
        # Once it is known to be away nobody waits: far more requests than threads, in less than one's deadline.
        again = [crowd.submit(_ask, service, number) for number in range(96)]
        began = time.monotonic()
        assert {done.result(60).status_code for done in again} == {503}
        assert time.monotonic() - began < 20
    well_after(service)
    audit(service, journal)


@contextmanager
def _hog(database: PostgresServer) -> Iterator[None]:
    """Somebody who takes every connection, also those that the service is made to give back."""
    words = f"host=127.0.0.1 port={database.port} user=leafloop dbname=postgres connect_timeout=5"
    with ExitStack() as held:
        first = held.enter_context(psycopg.connect(words, autocommit=True))
        for _ in range(3):
            first.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leafloop'")
            with suppress(psycopg.OperationalError):
                for _ in range(40):
                    held.enter_context(psycopg.connect(words))
        yield


def test_without_a_free_connection_it_refuses_at_once_and_serves_again_when_there_is_one(
    service: Service, database: PostgresServer, journal: Journal
) -> None:
    with _hog(database):
        answer, seconds = timed(lambda: _ask(service, 1))
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert seconds < 5
        assert ready(service)["database"]["state"] == "down"
    well_after(service)
    Client(service, journal).upload(1)
    audit(service, journal)
    assert "too many clients" in service.log()  # in words that an operator can act on


def test_while_nobody_can_say_who_asks_nobody_is_let_in(remote: Remote, database: PostgresServer) -> None:
    service = remote()
    key = json.loads(service.leafloop("keys", "create", "--role", "operator", "--json"))["key"]
    headers = [{}, {"Authorization": f"Bearer {key}"}, {"Authorization": f"Bearer {key}x"}, {"Cookie": "leafloop=x"}]
    assert [service.http.get("/metrics", headers=h).status_code for h in headers] == [401, 200, 401, 401]
    database.stop()
    for path in ("/metrics", "/api/v1/db/predictions", "/api/v1/mlops/status"):
        for each in headers:
            answer = service.http.get(path, headers=each)
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable"), (path, each)
            assert answer.headers["retry-after"] == "5"
    assert service.http.get("/health").status_code == 200
    database.start()
    well_after(service)
    assert [service.http.get("/metrics", headers=h).status_code for h in headers] == [401, 200, 401, 401]
