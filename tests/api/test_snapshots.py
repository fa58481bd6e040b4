"""Snapshots over HTTP: listed and looked up by engineers; a part of the hash is enough where it is clear."""

from __future__ import annotations

import pytest
from tests.api import shapes
from tests.api.conftest import NO_MODEL, Service, Start
from tests.learning.labelled import Labelled

SNAPSHOTS = "/api/v1/mlops/snapshots"


@pytest.fixture(scope="module")
def service(start: Start) -> Service:
    begun = start(bundled=NO_MODEL)
    begun.key("engineer")
    return begun


@pytest.fixture(scope="module")
def made(service: Service) -> str:
    labels = Labelled(service.parts.ledger, service.parts.blobs)
    labels.many(20)
    labels.add("blurred", blur_score=1.0)
    return labels.make(name="first").hash


def test_an_engineer_sees_every_snapshot_with_its_balance_and_what_was_left_out(service: Service, made: str) -> None:
    listed = service.client.get(SNAPSHOTS, headers=service.key("engineer"))
    shapes.check(service.client, "GET", SNAPSHOTS, listed.json())
    (only,) = listed.json()["items"]
    assert (only["hash"], only["name"], only["photos"], only["left_out"]) == (made, "first", 20, {"blurred": 1})
    assert sum(only["splits"].values()) == 20


def test_one_is_named_by_its_hash_or_by_the_beginning_of_it(service: Service, made: str) -> None:
    for name in (made, made[:8]):
        one = service.client.get(f"{SNAPSHOTS}/{name}", headers=service.key("engineer")).json()
        shapes.check(service.client, "GET", f"{SNAPSHOTS}/{{hash}}", one)
        assert one["hash"] == made
        assert sum(part["photos"] for part in one["parts"]) == 20


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("f" * 64, 404, "not_found"), ("../../x", 404, "not_found"), ("NOHASH", 422, "request_invalid")],
)
def test_what_is_no_snapshot_is_not_found(service: Service, made: str, name: str, status: int, code: str) -> None:
    answer = service.client.get(f"{SNAPSHOTS}/{name}", headers=service.key("engineer"))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_field_key_sees_none(service: Service, made: str) -> None:
    assert service.client.get(SNAPSHOTS, headers=service.key("field")).status_code == 403
