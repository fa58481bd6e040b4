"""The service on a database server and an object store that are not on its machine, each behind a network that can be spoilt."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.chaos import proxy
from tests.chaos.conftest import PLAIN
from tests.chaos.journal import Journal
from tests.chaos.proxy import Proxy
from tests.chaos.workload import Workload
from tests.servers import PostgresServer, S3Server, postgres_running, rclone_on
from tests.service import Service


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    """A PostgreSQL of this file's own, which may be stopped; it syncs, since it is killed too. Outside pytest's folder: see `postgres`."""
    with tempfile.TemporaryDirectory(prefix="leafloop-chaos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with postgres_running(Path(folder) / "server", "-c", "max_connections=25") as server:
            yield server


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server of this file's own, which may be stopped."""
    with rclone_on(tmp_path_factory.mktemp("objects")).running() as server:
        yield server


@pytest.fixture(scope="module")
def net(objects: S3Server) -> Iterator[Proxy]:
    """The way to the object store."""
    with proxy.before("127.0.0.1", objects.port) as way:
        yield way


# What people may be told, as (status, code).
WELL = {(200, ""), (204, "")}
DATABASE_AWAY = {(503, "database_unavailable"), (503, "database_busy"), (503, "overloaded")}
OBJECTS_AWAY = {(503, "storage_error"), (503, "overloaded")}

Remote = Callable[..., Service]


@pytest.fixture(scope="module")
def remote(
    tmp_path_factory: pytest.TempPathFactory, database: PostgresServer, objects: S3Server, net: Proxy, tiny: Path
) -> Iterator[Remote]:
    """`remote(**environ)`: the service on both, with the tiny model, running; it is killed at the end."""
    with ExitStack() as ends:

        def begin(**environ: str) -> Service:
            name = f"leaf_{time.monotonic_ns()}"
            database.run(f"CREATE DATABASE {name}")
            ways = {"LEAFLOOP_DATABASE_URL": database.url(name), "LEAFLOOP_BLOBS_URL": f"s3://leaf/{name}"}
            ways |= objects.environ | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{net.port}"}
            service = Service(tmp_path_factory.mktemp("remote") / "home", PLAIN | ways | environ)
            ends.callback(service.kill)
            service.leafloop("db", "upgrade")
            service.bring(tiny)
            service.start()
            return service

        yield begin


@pytest.fixture(scope="module")
def service(remote: Remote) -> Service:
    """One for all tests of a file, since each leaves it well: that it gets well without a restart is what they are about."""
    return remote()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    """What that service has acknowledged, in all of its tests."""
    return Journal(tmp_path_factory.mktemp("journal") / "acks.jsonl")


@pytest.fixture
def people(service: Service, journal: Journal) -> Workload:
    """People with photos of their own."""
    return Workload(service, journal, first=next(_FIRST))


_FIRST = itertools.count(1000, 1000)


def well_after(service: Service, within: float = 30) -> float:
    """Wait until the service is ready again, by its last look and by what it knows since: the seconds that it took."""
    began = time.monotonic()
    while (state := service.http.get("/ready")).status_code != 200 or _knows_better(service):
        assert time.monotonic() - began < within, state.text
        time.sleep(0.1)
    return time.monotonic() - began


def _knows_better(service: Service) -> bool:
    lines = service.http.get("/metrics").text.splitlines()
    return any(line.startswith("leafloop_dependency_up{") and line.endswith(" 0.0") for line in lines)


def until_next_ack(journal: Journal, within: float = 30) -> float:
    """Wait until one more upload is acknowledged than now: the seconds that it took."""
    began, before = time.monotonic(), len(journal.acked())
    while len(journal.acked()) == before:
        assert time.monotonic() - began < within, "nothing more was acknowledged"
        time.sleep(0.05)
    return time.monotonic() - began


def refused(answer: httpx.Response | None) -> None:
    """It was said that the object store is away, and when to come again."""
    assert answer is not None
    assert (answer.status_code, answer.json()["code"]) in OBJECTS_AWAY, answer.text
    assert answer.headers["retry-after"]


def taken(answer: httpx.Response | None) -> httpx.Response:
    assert answer is not None
    assert answer.status_code == 200, answer.text
    return answer


def timed(ask: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    """An answer, and the seconds that it took."""
    began = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - began
