"""An object store that lies (matrix row 22): found out before anything is acknowledged where that can be, and never believed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.chaos.conftest import audit, ready
from tests.chaos.journal import Journal
from tests.chaos.photos import stored_hash
from tests.chaos.remote import liar
from tests.chaos.remote.conftest import Remote, refused, taken, well_after
from tests.chaos.remote.liar import Liar
from tests.chaos.workload import Client
from tests.servers import S3Server
from tests.service import Service


@pytest.fixture(scope="module")
def between(objects: S3Server) -> Iterator[Liar]:
    with liar.before(objects.port) as between:
        yield between


@pytest.fixture(scope="module")
def service(remote: Remote, between: Liar) -> Service:
    return remote(AWS_ENDPOINT_URL=f"http://127.0.0.1:{between.server_port}")


def test_a_write_that_is_confirmed_and_dropped_is_found_out_before_it_is_acknowledged(
    service: Service, between: Liar, journal: Journal
) -> None:
    sender = Client(service, journal)
    between.drops = True
    refused(sender.upload(1, "dropped"))
    assert service.http.get("/api/v1/db/predictions").json()["total"] == 0
    assert "said that it kept" in service.log()
    assert ready(service)["objects"]["state"] == "down"
    between.drops = False
    well_after(service)
    taken(sender.upload(1, "dropped"))
    audit(service, journal)


def test_other_bytes_than_were_kept_are_never_served_and_fail_that_photo_alone(
    service: Service, between: Liar, journal: Journal
) -> None:
    first, second = (
        f"/api/v1/db/predictions/{taken(Client(service, journal).upload(number)).json()['prediction_id']}/photo"
        for number in (2, 3)
    )
    told = len(service.events("part is away"))
    between.spoils = True
    spoilt = service.http.get(first)
    assert (spoilt.status_code, spoilt.json()["code"]) == (500, "blob_corrupt")
    assert "retry-after" not in spoilt.headers
    between.spoils = False
    assert service.http.get(second).status_code == 200
    assert len(service.events("part is away")) == told
    assert stored_hash(2)[:12] in service.log()
    audit(service, journal)


def test_nothing_depends_on_a_conditional_write(service: Service, between: Liar, journal: Journal) -> None:
    for _ in range(2):
        taken(Client(service, journal).upload(4))
    conditions = {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}
    assert between.asked
    assert not [asked for asked in between.asked if conditions & asked]
    audit(service, journal)
