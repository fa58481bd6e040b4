"""Kept answers over HTTP: who sees which, how a list goes on, what may be set right, and what deleting leaves."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from tests.api import shapes
from tests.api.conftest import SICK, Service, jpeg
from tests.tiny_models import BANANA

from leafloop.learning.review import worth
from leafloop.storage import audit
from leafloop.storage.tables import (
    Feedback,
    PhotoSide,
    Prediction,
    Review,
    Snapshot,
    SnapshotPhoto,
    SplitGroup,
    TrainingData,
)

PREDICTIONS = "/api/v1/db/predictions"
ONE = PREDICTIONS + "/{prediction_id}"
OLDER_COLUMNS = {
    "id", "user_id", "user_location", "image_path", "image_size_kb", "image_width", "image_height", "image_hash",
    "predicted_class_id", "predicted_class_name", "confidence", "bbox_data", "model_version", "model_name",
    "inference_time_ms", "timestamp", "metadata",
}  # fmt: skip


def sent(service: Service, name: str, **fields: str) -> str:
    """A photo of its own, sent by a phone; the answer's id."""
    sent.count += 1  # type: ignore[attr-defined]
    data = jpeg((SICK, (100, 100, 150 + sent.count, 200)))  # type: ignore[attr-defined]
    answer = service.predict(data, headers=service.key("field", name), **fields)
    return str(answer.json()["prediction_id"])


sent.count = 0  # type: ignore[attr-defined]


def actions(service: Service, subject: str) -> list[tuple[str, str, Any]]:
    with service.parts.ledger.reading() as session:
        return [(e.actor, e.action, e.detail) for e in audit.latest(session) if e.subject == subject]


def test_a_phone_sees_its_own_answers_and_an_agronomist_all(service: Service) -> None:
    marias, pedros = sent(service, "maria"), sent(service, "pedro")
    for name, sees in (("maria", {marias}), ("pedro", {pedros}), ("reviewer", {marias, pedros})):
        listed = service.client.get(
            f"{PREDICTIONS}?limit=500", headers=service.key("reviewer" if name == "reviewer" else "field", name)
        )
        assert {item["id"] for item in listed.json()["items"]} & {marias, pedros} == sees
    for path in ("", "/photo"):
        url = f"{PREDICTIONS}/{marias}{path}"
        assert service.client.get(url, headers=service.key("field", "maria")).status_code == 200
        assert service.client.get(url, headers=service.key("reviewer")).status_code == 200
        assert service.client.get(url, headers=service.key("field", "pedro")).json()["code"] == "not_found"
    for method in ("PATCH", "DELETE"):
        url, json = f"{PREDICTIONS}/{marias}", {"user_location": "x"} if method == "PATCH" else None
        answer = service.client.request(method, url, headers=service.key("field", "pedro"), json=json)
        assert answer.json()["code"] == "not_found"


def test_a_list_has_the_older_columns_and_is_filtered_newest_first(service: Service) -> None:
    ids = [sent(service, "lister", user_id=f"user-{i % 2}", user_location="Davao") for i in range(4)]
    headers = service.key("field", "lister")
    body = service.client.get(PREDICTIONS, headers=headers).json()
    assert [item["id"] for item in body["items"]] == ids[::-1]
    assert set(body["items"][0]) >= OLDER_COLUMNS
    assert (body["total"], body["limit"], body["offset"], body["next_cursor"]) == (4, 100, 0, None)
    shapes.check(service.client, "GET", PREDICTIONS, body)
    for query, count in (
        ("user_id=user-1", 2),
        (f"predicted_class_name={BANANA.class_names[SICK]}", 4),
        (f"predicted_class_name={BANANA.class_names[0]}", 0),
        ("model_version=1", 4),
        ("model_version=2", 0),
    ):
        assert service.client.get(f"{PREDICTIONS}?{query}", headers=headers).json()["total"] == count


def test_a_list_goes_on_by_offset_and_by_cursor(service: Service) -> None:
    ids = [sent(service, "pager") for _ in range(5)][::-1]
    headers = service.key("field", "pager")
    by_offset = service.client.get(f"{PREDICTIONS}?limit=2&offset=2", headers=headers).json()
    assert [item["id"] for item in by_offset["items"]] == ids[2:4]
    seen, cursor = [], ""
    while cursor is not None:
        page = service.client.get(f"{PREDICTIONS}?limit=2{cursor and '&cursor=' + cursor}", headers=headers).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ids


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "offset=-1", "offset=99999999999999999999", "cursor=x", "cursor=MjAyMC0wMS0wMSB4",
     "cursor=%F0%9F%8D%8C", "user_id=a%00b", "model_version=" + "9" * 201],
)  # fmt: skip
def test_a_list_that_cannot_be_is_refused(service: Service, query: str) -> None:
    answer = service.client.get(f"{PREDICTIONS}?{query}", headers=service.key("reviewer"))
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_one_answer_comes_with_the_body_that_was_sent(service: Service) -> None:
    answer = service.predict(headers=service.key("field", "maria"), group="plot 7", consent="false").json()
    one = service.client.get(f"{PREDICTIONS}/{answer['prediction_id']}", headers=service.key("field", "maria")).json()
    assert one["answer"] == answer
    assert (one["group"], one["consent"]) == ("plot 7", False)
    shapes.check(service.client, "GET", ONE, one)


@pytest.mark.parametrize("name", ["x", "0" * 36, "..%2f..%2fetc", "%00", "' OR 1=1 --", "x" * 5000])
def test_an_id_that_is_none_is_not_found(service: Service, name: str) -> None:
    answer = service.client.get(f"{PREDICTIONS}/{name}", headers=service.key("operator"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_photo_is_a_picture_for_this_browser_alone(service: Service) -> None:
    prediction_id, headers = sent(service, "maria"), service.key("field", "maria")
    answer = service.client.get(f"{PREDICTIONS}/{prediction_id}/photo", headers=headers)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, max-age=3600"
    assert answer.headers["content-disposition"] == f'inline; filename="{prediction_id}.jpg"'
    again = {**headers, "If-None-Match": answer.headers["etag"]}
    unchanged = service.client.get(f"{PREDICTIONS}/{prediction_id}/photo", headers=again)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_what_a_person_said_may_be_set_right_and_the_change_is_on_record(service: Service) -> None:
    prediction_id = sent(service, "maria", user_location="Davoa", consent="true")
    url, headers = f"{PREDICTIONS}/{prediction_id}", service.key("field", "maria")
    change = {"user_location": " Davao ", "consent": False, "metadata": {"plant": "17"}}
    answer = service.client.patch(url, headers=headers, json=change)
    assert answer.json() == {"ok": True, "prediction_id": prediction_id}
    now = service.client.get(url, headers=headers).json()
    assert (now["user_location"], now["consent"], now["metadata"]["plant"]) == ("Davao", False, "17")
    assert "tiles" in now["metadata"]  # what was there stays
    actor, action, detail = actions(service, prediction_id)[0]
    assert (actor, action) == (f"key:{service.ids['maria']}", "prediction.edit")
    assert (detail["before"]["user_location"], detail["after"]["user_location"]) == ("Davoa", "Davao")
    assert detail["before"]["consent"] is True


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"predicted_class_name": "x"}, "feedback"), ({"confidence": 1.0}, "feedback"), ({"bbox_data": []}, "feedback"),
        ({"image_hash": "0" * 64}, "feedback"), ({"user_id": "pedro"}, "whose"), ({"group": "plot 8"}, "split"),
        ({"user_location": "x", "outcome": "healthy"}, "feedback"), ({"metadata": {"tiles": []}}, "computed"),
    ],
)  # fmt: skip
def test_what_a_model_wrote_and_who_sent_it_stays_as_it_is(service: Service, change: dict[str, Any], word: str) -> None:
    prediction_id = sent(service, "maria", user_location="Davao")
    url, headers = f"{PREDICTIONS}/{prediction_id}", service.key("operator")
    before = service.client.get(url, headers=headers).json()
    answer = service.client.patch(url, headers=headers, json=change)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_editable")
    assert word in answer.json()["detail"]
    assert service.client.get(url, headers=headers).json() == before
    assert actions(service, prediction_id) == []


@pytest.mark.parametrize(
    "change",
    ["{}", '{"nonsense": 1}', "[]", '{"consent": "perhaps"}', '{"consent": 0}', '{"user_location": "a\\u0000b"}', '{"user_location": 5}',
     '{"metadata": {"a": NaN}}', '{"metadata": {"a": "\\u0000"}}', '{"metadata": {"a": "\\ud800"}}', '{"metadata": "x"}',
     '{"metadata": {"a": "' + "x" * 20_000 + '"}}'],
)  # fmt: skip
def test_a_change_that_is_none_is_refused(service: Service, change: str) -> None:
    prediction_id = sent(service, "maria")
    headers = {**service.key("field", "maria"), "Content-Type": "application/json"}
    answer = service.client.patch(f"{PREDICTIONS}/{prediction_id}", headers=headers, content=change)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_deleting_takes_the_answer_and_the_photo_and_is_on_record(service: Service) -> None:
    prediction_id, headers = sent(service, "maria"), service.key("field", "maria")
    url = f"{PREDICTIONS}/{prediction_id}"
    key = service.client.get(url + "/photo", headers=headers).headers["etag"].strip('"')
    assert service.parts.blobs.has(key)
    assert service.client.delete(url, headers=headers).json() == {"ok": True, "deleted": prediction_id, "kept": []}
    assert not service.parts.blobs.has(key)
    for path in ("", "/photo"):
        assert service.client.get(url + path, headers=headers).status_code == 404
    assert service.client.delete(url, headers=headers).status_code == 404
    assert [action for _, action, _ in actions(service, prediction_id)] == ["prediction.delete"]


def test_deleting_one_of_two_answers_leaves_the_photo_that_both_are_about(service: Service) -> None:
    headers = service.key("field", "maria")
    data = jpeg((SICK, (10, 10, 99, 99)))
    first, second = (service.predict(data, headers=headers).json()["prediction_id"] for _ in range(2))
    service.client.delete(f"{PREDICTIONS}/{first}", headers=headers)
    assert service.client.get(f"{PREDICTIONS}/{second}/photo", headers=headers).status_code == 200


def test_without_keys_the_open_service_sees_what_it_was_sent(open_service: Service) -> None:
    prediction_id = open_service.predict().json()["prediction_id"]
    assert open_service.client.get(f"{PREDICTIONS}/{prediction_id}").status_code == 200


def test_what_a_frozen_snapshot_holds_stays_and_the_deletion_says_where_and_why(service: Service) -> None:
    prediction_id, headers = sent(service, "maria", user_id="maria.santos"), service.key("field", "maria")
    snapshot, label_id = _freeze(service, prediction_id)
    url = f"{PREDICTIONS}/{prediction_id}"
    key = service.client.get(url + "/photo", headers=headers).headers["etag"].strip('"')
    body = service.client.delete(url, headers=headers).json()
    shapes.check(service.client, "DELETE", ONE, body)
    assert [(kept["what"], kept["snapshots"]) for kept in body["kept"]] == [
        ("photo", [snapshot]),
        ("label", [snapshot]),
    ]
    assert "frozen snapshot" in body["kept"][0]["why"]
    assert service.parts.blobs.has(key)
    with service.parts.ledger.reading() as session:
        label = session.get_one(TrainingData, label_id)
        assert (label.photo_id, label.is_validated) == (None, False)  # it goes into no new snapshot
    ((_, _, detail),) = actions(service, prediction_id)
    assert detail["feedback"][0]["correct_class_name"] == BANANA.class_names[SICK]
    assert detail["labels"][0]["id"] == label_id
    assert detail["kept"] == body["kept"]
    assert "my own words" not in str(detail)


def test_a_label_that_no_snapshot_names_goes_with_its_answer(service: Service) -> None:
    prediction_id, headers = sent(service, "maria"), service.key("field", "maria")
    _, label_id = _freeze(service, prediction_id, snapshot=False)
    assert service.client.delete(f"{PREDICTIONS}/{prediction_id}", headers=headers).json()["kept"] == []
    with service.parts.ledger.reading() as session:
        assert session.get(TrainingData, label_id) is None


@pytest.mark.parametrize("frozen", [False, True])
def test_the_other_of_two_answers_of_one_photo_keeps_the_label_that_its_review_means(
    service: Service, frozen: bool
) -> None:
    data = jpeg((SICK, (20, 20, 90 + frozen, 99)))
    first, second = (
        str(service.predict(data, headers=service.key("field", name), user_id=name).json()["prediction_id"])
        for name in ("maria", "pedro")
    )
    _freeze(service, first, snapshot=frozen)
    with service.parts.ledger.transaction() as session:
        item = worth.enqueue(session, second, [worth.Reason("random")])
        assert item is not None
        item.state = "done"
        found = {"outcome": "diseased", "class_id": SICK, "class_name": BANANA.class_names[SICK], "boxes": None}
        review = Review(item_id=item.id, prediction_id=second, decision="correct", **found)
        session.add(review)
        session.flush()
        image_hash, review_id = session.get_one(Prediction, second).image_hash, review.id
    service.client.delete(f"{PREDICTIONS}/{first}", headers=service.key("field", "maria"))
    with service.parts.ledger.reading() as session:
        (label,) = session.scalars(select(TrainingData).where(TrainingData.image_hash == image_hash)).all()
        assert (label.source_id, label.is_validated, label.user_id) == (review_id, True, "pedro")
        assert (label.class_name, label.strength) == (BANANA.class_names[SICK], "weak")
    service.client.delete(f"{PREDICTIONS}/{second}", headers=service.key("field", "pedro"))
    with service.parts.ledger.reading() as session:
        left = session.scalars(select(TrainingData.is_validated).where(TrainingData.image_hash == image_hash)).all()
    assert left == ([False] if frozen else [])


def test_a_position_that_is_set_right_is_rounded_too(service: Service) -> None:
    prediction_id, headers = sent(service, "maria"), service.key("field", "maria")
    change = {"user_location": "14.599512, 120.984222"}
    service.client.patch(f"{PREDICTIONS}/{prediction_id}", headers=headers, json=change)
    now = service.client.get(f"{PREDICTIONS}/{prediction_id}", headers=headers).json()
    assert now["user_location"] == "14.60, 120.98"
    assert "599512" not in str(actions(service, prediction_id))


def _freeze(service: Service, prediction_id: str, *, snapshot: bool = True) -> tuple[str, str]:
    """A word, a review, a label, and a snapshot that names the photo: (the snapshot's hash, the label's id)."""
    name = prediction_id.replace("-", "").ljust(64, "0")
    with service.parts.ledger.transaction() as session:
        answer = session.get_one(Prediction, prediction_id)
        said = {"is_correct": False, "correct_class_name": BANANA.class_names[SICK], "user_comment": "my own words"}
        session.add(Feedback(prediction_id=prediction_id, feedback_source="api", **said))
        item = worth.enqueue(session, prediction_id, [worth.Reason("correction")])
        assert item is not None
        review = Review(item_id=item.id, prediction_id=prediction_id, decision="accept", comment="my own words")
        session.add(review)
        session.flush()
        label = TrainingData(
            photo_id=answer.photo_id, image_path=answer.image_path, image_hash=answer.image_hash, source="feedback",
            source_id=review.id, user_id=answer.user_id, is_validated=True,
        )  # fmt: skip
        session.add(label)
        if snapshot:
            facts: dict[str, Any] = {"photos": 1, "splits": {}, "options": {}, "report": {}, "parts": []}
            session.add_all([Snapshot(hash=name, actor="cli", **facts), SplitGroup(id=answer.image_hash, split="test")])
            session.flush()
            session.add(PhotoSide(image_hash=answer.image_hash, group_id=answer.image_hash, split="test"))
            session.flush()
            where = {"image_hash": answer.image_hash, "stored_sha256": answer.image_path, "group_id": answer.image_hash}
            session.add(SnapshotPhoto(snapshot_hash=name, split="test", **where))
        session.flush()
        return name, label.id
