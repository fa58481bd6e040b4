"""One fault a test, on a real service that runs the tiny model. After it, always the same question: `audit`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from tests import tiny_models
from tests.chaos.journal import Journal, compare
from tests.servers import wait_until
from tests.service import Service

# One thread for the model, since the tests share two cores; and a workload is no sender that should be slowed down.
PLAIN = {
    "LEAFLOOP_INFERENCE_THREADS": "1",
    "LEAFLOOP_PRECISION": "f32",
    "LEAFLOOP_RATE_LIMIT": "1000000/minute",
    "LEAFLOOP_PREDICT_RATE_LIMIT": "1000000/minute",
    "LEAFLOOP_FEEDBACK_RATE_LIMIT": "1000000/minute",
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With LEAFLOOP_TEST_NO_SKIPS a fault that could not be injected is a failure: CI is to prove all of them."""
    report = yield
    if report.skipped and os.environ.get("LEAFLOOP_TEST_NO_SKIPS"):
        report.outcome, report.longrepr = "failed", f"{item.nodeid} was skipped, and nothing may be: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that starts in no time."""
    return tiny_models.tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny").path


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A home on SQLite and a folder, with the tiny model as champion: to be copied, never to be used."""
    service = Service(tmp_path_factory.mktemp("prepared") / "home", PLAIN)
    service.bring(tiny)
    return service.home


@pytest.fixture
def new_service(tmp_path: Path, prepared: Path) -> Iterator[Callable[..., Service]]:
    """`new_service(home=..., **environ)`: one that is not started yet, on a prepared home; it is killed at the end.

    For another database or object store `service.bring(tiny)` once its schema is there.
    """
    made: list[Service] = []

    def make(home: Path | None = None, **environ: str) -> Service:
        home = home or tmp_path / "home"
        shutil.copytree(prepared, home)
        made.append(Service(home, PLAIN | environ, log=tmp_path / "service.log"))
        return made[-1]

    yield make
    for service in made:
        service.kill()


@pytest.fixture
def service(new_service: Callable[..., Service]) -> Service:
    """A service that runs, on SQLite and a folder."""
    running = new_service()
    running.start()
    return running


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "acks.jsonl")


NOT_OURS = {"disk", "port"}  # the disk of a test may be tiny, and the port is the service's own


def audit(service: Service, journal: Journal) -> None:
    """Nothing acknowledged is lost, doubled or changed, and what is kept is whole. The service has to run."""
    well_within(service, 10)
    assert faults(service) == []
    compare(service.http, journal)


def well_within(service: Service, seconds: float) -> None:
    """Wait until `/ready` says so; it looks once a second."""
    wait_until(lambda: service.http.get("/ready").status_code == 200, "the service", within=seconds)


def faults(service: Service) -> list[dict[str, str]]:
    """What `leafloop doctor --audit` finds wrong."""
    found = json.loads(service.run("doctor", "--audit", "--json").out)
    assert {"file", "answers", "photos", "labels", "snapshots", "models", "champion", "orphans"} <= {
        finding["check"] for finding in found
    }
    return [finding for finding in found if not finding["ok"] and finding["check"] not in NOT_OURS]


def ready(service: Service) -> dict[str, dict[str, str]]:
    """What `/ready` says of each part."""
    states = json.loads(service.http.get("/ready").text)
    states.pop("status")
    return dict(states)


def counted(service: Service, metric: str) -> float:
    """The value of one line of `/metrics`, such as `leafloop_problems_total{code="storage_full"}`; 0 when it is not there."""
    lines = service.http.get("/metrics").text.splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{metric} ")), 0.0)
