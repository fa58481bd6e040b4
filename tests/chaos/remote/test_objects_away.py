"""The object store killed, cut off, slow and silent (matrix rows 20 and 21): no answer without its photo, 503 in time, well again
by itself."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.chaos import proxy
from tests.chaos.conftest import audit, ready
from tests.chaos.journal import Journal
from tests.chaos.photos import photo
from tests.chaos.proxy import Proxy, Toxics
from tests.chaos.remote.conftest import OBJECTS_AWAY, WELL, refused, taken, timed, until_next_ack, well_after
from tests.chaos.workload import Client, Workload
from tests.servers import S3Server
from tests.service import Service

from leafloop.errors import StorageError
from leafloop.storage.blobs import open_blobs

DEADLINE_S = 20  # a call ends within 9 s, a photo within some more; the rest is for a loaded machine


@pytest.fixture(autouse=True)
def _well(objects: S3Server, net: Proxy) -> Iterator[None]:
    yield
    net.toxics = Toxics()
    if objects.process.poll() is not None:
        objects.start()


def _kept_by(service: Service) -> int:
    return int(service.http.get("/api/v1/db/predictions").json()["total"])


def test_killed_in_the_middle_of_uploads_it_loses_and_doubles_nothing(
    service: Service, people: Workload, objects: S3Server, journal: Journal
) -> None:
    chance = random.Random(20)
    with people.running():
        for _ in range(3):
            people.wait_for(2)
            time.sleep(chance.uniform(0, 0.2))  # some instant of an upload, of which each takes about as long
            objects.stop(signal.SIGKILL)
            time.sleep(1)  # people meet a store that is away
            objects.start()
            until_next_ack(journal)
    assert set(people.told) <= WELL | OBJECTS_AWAY, people.told
    audit(service, journal)
    assert service.events("part is away")
    assert service.events("part is back")


@pytest.mark.parametrize("sent", [0, 700, 6000], ids=["nothing", "the headers", "half of the photo"])
def test_an_upload_cut_off_on_its_way_is_not_acknowledged_and_leaves_what_was_there(
    service: Service, net: Proxy, journal: Journal, sent: int
) -> None:
    sender = Client(service, journal)
    taken(sender.upload(1))
    before = _kept_by(service)
    net.toxics = Toxics(cut_after=sent)
    net.cut()
    refused(sender.upload(1, f"again-{sent}"))  # a store that wrote over the object in place would spoil it
    refused(sender.upload(2, f"new-{sent}"))
    net.toxics = Toxics()
    well_after(service)
    assert _kept_by(service) == before
    audit(service, journal)
    taken(sender.upload(1, f"again-{sent}"))
    taken(sender.upload(2, f"new-{sent}"))
    assert _kept_by(service) == before + 2
    audit(service, journal)


@pytest.mark.slow
def test_a_slow_store_is_waited_for(service: Service, net: Proxy, journal: Journal) -> None:
    net.toxics = Toxics(latency_s=2)
    answer, seconds = timed(lambda: taken(Client(service, journal).upload(3)))
    assert answer.is_success
    assert seconds > 4  # the photo is written, and asked for
    assert ready(service)["objects"]["state"] == "up"
    net.toxics = Toxics()
    audit(service, journal)


@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(Toxics(frozen=True), id="a black hole"),
        pytest.param(Toxics(refusing=True), id="resets"),
        pytest.param(Toxics(bytes_a_second=1000), id="a thin line", marks=pytest.mark.slow),
    ],
)
def test_a_store_that_cannot_be_reached_costs_one_deadline_and_not_one_each(
    service: Service, net: Proxy, journal: Journal, weather: Toxics
) -> None:
    before = _kept_by(service)
    net.toxics = weather
    net.cut()
    with ThreadPoolExecutor(20) as crowd:
        asked = [crowd.submit(timed, lambda number=number: _upload(service, number)) for number in range(20)]
        assert max(timed(lambda: service.http.get("/health"))[1] for _ in range(20)) < 1
        for answer, seconds in (done.result(60) for done in asked):
            refused(answer)
            assert seconds < DEADLINE_S
        began = time.monotonic()
        for done in [crowd.submit(_upload, service, number) for number in range(60)]:
            refused(done.result(60))
        assert time.monotonic() - began < DEADLINE_S  # three of them one after the other, each at once
    assert _kept_by(service) == before  # what needs no object is served
    net.toxics = Toxics()
    well_after(service)
    audit(service, journal)


def test_a_call_is_tried_three_times_at_most(objects: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy.before("127.0.0.1", objects.port) as way:
        for name, value in (objects.environ | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{way.port}"}).items():
            monkeypatch.setenv(name, value)
        store = open_blobs("s3://leaf/tries")
        way.toxics = Toxics(refusing=True)
        with pytest.raises(StorageError):
            store.put(b"never kept")
        assert way.connections == 3


def _upload(service: Service, number: int) -> httpx.Response:
    with httpx.Client(base_url=service.http.base_url, timeout=60) as client:
        return client.post("/api/v1/predict", files={"file": photo(number)})


def test_a_store_that_is_away_is_said_to_be_wherever_people_look(
    service: Service, objects: S3Server, journal: Journal
) -> None:
    sender = Client(service, journal)
    prediction_id = taken(sender.upload(4)).json()["prediction_id"]
    where = f"/api/v1/db/predictions/{prediction_id}"
    told = len(service.events("part is away"))
    objects.stop(signal.SIGKILL)
    refused(sender.upload(5))
    state = _not_ready(service)
    assert state["objects"]["state"] == "down"
    assert (state["database"]["state"], state["model"]["state"]) == ("up", "up")
    assert 'leafloop_dependency_up{part="objects"} 0.0' in service.http.get("/metrics").text
    away = service.events("part is away")[told:]
    assert len(away) == 1
    assert service.environ["AWS_ENDPOINT_URL"] in away[0]["detail"]
    assert "Check that it runs" in away[0]["detail"]
    refused(service.http.delete(where))  # else its row would be gone, and its photo would stay
    assert service.http.get(where).status_code == 200
    objects.start()
    well_after(service)
    assert 'leafloop_dependency_up{part="objects"} 1.0' in service.http.get("/metrics").text
    assert sender.delete(prediction_id) is not None
    assert service.http.get(where).status_code == 404
    audit(service, journal)


def _not_ready(service: Service, within: float = 10) -> dict[str, dict[str, str]]:
    """What `/ready` says as soon as its next look, a second later at most, has found something."""
    end = time.monotonic() + within
    while service.http.get("/ready").status_code == 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    return ready(service)
