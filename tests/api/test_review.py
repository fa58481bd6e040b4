"""Review over HTTP: a reviewer works through the queue, takes a decision back, and reads how far reviewers agree."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import update
from tests.api import shapes
from tests.api.conftest import SICK, Service, Start, jpeg
from tests.tiny_models import BANANA

from leafloop.storage.tables import ReviewItem

REVIEW = "/api/v1/review"
LABELS = "/api/v1/db/training-data"
SICK_NAME = BANANA.class_names[SICK]
_photos = iter(range(1, 500))


def photo() -> bytes:
    number = next(_photos)
    return jpeg((SICK, (100, 100, 160 + number % 100, 180 + number // 100)))


@pytest.fixture(scope="module")
def service(start: Start) -> Service:
    """Every answer is queued: the tiny model's class is a rare one."""
    begun = start(LEAFLOOP_REVIEW_SECOND_SHARE="0")
    for role in ("field", "reviewer"):
        begun.key(role)
    return begun


def asked(service: Service) -> str:
    """A photo that a phone sends; the answer's id."""
    return str(service.predict(photo(), headers=service.key("field"), group="plot 7").json()["prediction_id"])


def next_case(service: Service, name: str = "Ana", **query: Any) -> dict[str, Any]:
    answer = service.client.get(f"{REVIEW}/next", headers=service.key("reviewer", name), params=query)
    assert answer.status_code == 200, answer.text
    shapes.check(service.client, "GET", f"{REVIEW}/next", answer.json())
    return dict(answer.json())


def post(service: Service, path: str, body: Any = None, name: str = "Ana") -> Any:
    return service.client.post(f"{REVIEW}{path}", headers=service.key("reviewer", name), json=body)


def decision(service: Service, case: dict[str, Any], name: str = "Ana", **said: Any) -> Any:
    said = {"version": case["version"], "decision": "accept", **said}
    return post(service, f"/items/{case['item_id']}/decision", said, name)


def empty(service: Service) -> None:
    """Nothing waits, and nobody has anything in hand."""
    with service.parts.ledger.transaction() as session:
        session.execute(update(ReviewItem).values(state="rejected", leased_by=None, leased_until=None))


def test_a_photo_goes_from_the_phone_through_review_to_a_label(service: Service) -> None:
    empty(service)
    prediction_id = asked(service)
    case = next_case(service)
    assert case["prediction"]["id"] == prediction_id
    assert (case["prediction"]["group"], case["remaining"]) == ("plot 7", 1)
    assert {reason["code"] for reason in case["reasons"]} >= {"rare_class"}
    before = REGISTRY.get_sample_value("leafloop_reviews_total", {"decision": "accept"}) or 0
    done = decision(service, case, seconds=3.2, comment="Thank you.")
    assert done.status_code == 200
    shapes.check(service.client, "POST", REVIEW + "/items/{item_id}/decision", done.json())
    assert REGISTRY.get_sample_value("leafloop_reviews_total", {"decision": "accept"}) == before + 1
    assert (done.json()["state"], done.json()["label"]["strength"]) == ("done", "strong")
    label = service.client.get(f"{LABELS}/{done.json()['label']['id']}", headers=service.key("reviewer")).json()
    shapes.check(service.client, "GET", LABELS + "/{label_id}", label)
    assert (label["class_name"], label["source"], label["source_id"]) == (
        SICK_NAME,
        "feedback",
        done.json()["review_id"],
    )
    assert label["validated_by"].endswith("/Ana")
    assert service.client.get(f"{REVIEW}/next", headers=service.key("reviewer", "Ana")).status_code == 204


def test_two_reviewers_never_get_one_photo_and_the_next_can_be_fetched_ahead(service: Service) -> None:
    empty(service)
    for _ in range(3):
        asked(service)
    first = next_case(service)
    second = next_case(service, "Ben")
    ahead = next_case(service, skip=first["item_id"])
    assert len({first["item_id"], second["item_id"], ahead["item_id"]}) == 3
    taken = service.client.get(f"{REVIEW}/items/{first['item_id']}", headers=service.key("reviewer", "Ben"))
    assert (taken.status_code, taken.json()["code"]) == (409, "review_conflict")
    assert post(service, f"/items/{first['item_id']}/release").json() == {"ok": True, "item_id": first["item_id"]}
    again = service.client.get(f"{REVIEW}/items/{first['item_id']}", headers=service.key("reviewer", "Ben"))
    shapes.check(service.client, "GET", REVIEW + "/items/{item_id}", again.json())
    late = decision(service, first)
    assert (late.status_code, late.json()["code"]) == (409, "review_conflict")


def test_a_decision_is_taken_back_once_by_its_id(service: Service) -> None:
    empty(service)
    asked(service)
    done = decision(service, next_case(service), decision="correct", outcome="healthy", boxes=[]).json()
    for _ in range(2):
        back = post(service, "/undo", {"review_id": done["review_id"]})
        assert (back.status_code, back.json()["item_id"], back.json()["state"]) == (200, done["item_id"], "open")
    shapes.check(service.client, "POST", REVIEW + "/undo", back.json())
    assert service.client.get(f"{LABELS}/{done['label']['id']}", headers=service.key("reviewer")).status_code == 404
    assert post(service, "/undo", None, "Nobody yet").status_code == 204
    assert post(service, "/undo", {"review_id": done["review_id"]}, "Ben").json()["code"] == "not_found"


@pytest.mark.parametrize(
    "said",
    [
        {"decision": "correct"}, {"decision": "correct", "boxes": []}, {"decision": "correct", "class_name": "Stage99"},
        {"decision": "maybe"}, {"decision": "accept", "outcome": "healthy"}, {"decision": "skip", "ask_second": True},
        {"decision": "correct", "class_name": SICK_NAME, "boxes": [{"class_name": SICK_NAME, "bbox": {"x1": 1}}]},
        {"decision": "correct", "boxes": [{"class_name": SICK_NAME, "bbox": {"x1": 1, "y1": 1, "x2": 9e9, "y2": 9}}]},
        {"version": "1"}, {"version": 0}, {"seconds": -1}, {"comment": "a\x00b"}, {"comment": "x" * 2001}, {"more": 1},
    ],
)  # fmt: skip
def test_a_decision_that_cannot_be_meant_is_refused_and_changes_nothing(service: Service, said: dict[str, Any]) -> None:
    empty(service)
    asked(service)
    case = next_case(service)
    refused = decision(service, case, **said)
    assert (refused.status_code, refused.json()["code"]) == (422, "request_invalid")
    assert decision(service, case).status_code == 200


@pytest.mark.parametrize("item_id", ["x", "0" * 36, "..%2f..", "%00", "x" * 5000])
def test_a_case_that_is_none_is_not_found(service: Service, item_id: str) -> None:
    headers = service.key("reviewer")
    for answer in (
        service.client.get(f"{REVIEW}/items/{item_id}", headers=headers),
        service.client.post(f"{REVIEW}/items/{item_id}/release", headers=headers),
        service.client.post(
            f"{REVIEW}/items/{item_id}/decision", headers=headers, json={"version": 1, "decision": "skip"}
        ),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_queue_says_what_waits_and_the_metrics_too(service: Service) -> None:
    empty(service)
    asked(service)
    found = service.client.get(f"{REVIEW}/queue", headers=service.key("reviewer")).json()
    shapes.check(service.client, "GET", f"{REVIEW}/queue", found)
    assert (found["open"], found["waiting"]) == (1, 1)
    assert REGISTRY.get_sample_value("leafloop_review_queue_items", {"state": "open"}) == 1
    asked(service)
    assert "leafloop_review_queue_items" in service.client.get("/metrics", headers=service.key("field")).text


def test_agreement_and_doubtful_labels_have_their_shapes(service: Service) -> None:
    empty(service)
    asked(service)
    first = decision(service, next_case(service), ask_second=True).json()
    assert (first["state"], first["label"]) == ("second", None)
    assert next_case(service, "Ben")["blind"]
    decision(service, next_case(service, "Ben"), "Ben")
    found = service.client.get(f"{REVIEW}/agreement", headers=service.key("reviewer")).json()
    shapes.check(service.client, "GET", f"{REVIEW}/agreement", found)
    assert found["pairs"] >= 1
    doubts = service.client.get(f"{REVIEW}/doubtful?limit=5", headers=service.key("reviewer")).json()
    shapes.check(service.client, "GET", f"{REVIEW}/doubtful", doubts)


def test_a_phone_may_not_review_and_an_open_service_may_be_tried(service: Service, start: Start) -> None:
    assert service.client.get(f"{REVIEW}/next", headers=service.key("field")).json()["code"] == "role_too_low"
    tried = start()
    prediction_id = tried.predict(photo()).json()["prediction_id"]
    case = tried.client.get(f"{REVIEW}/next").json()
    assert case["prediction"]["id"] == prediction_id
    sent = {"version": case["version"], "decision": "accept"}
    done = tried.client.post(f"{REVIEW}/items/{case['item_id']}/decision", json=sent)
    assert done.json()["state"] == "done"
    label = tried.client.get(f"{LABELS}/{done.json()['label']['id']}").json()
    assert label["validated_by"] == "open/"
