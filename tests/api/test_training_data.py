"""Labels over HTTP: listed with the older filters, corrected on the record, and kept where a snapshot needs them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.api import shapes
from tests.api.conftest import NO_MODEL, SICK_LEAF, Service, Start
from tests.tiny_models import BANANA

from leafloop.storage import audit
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import PhotoSide, Snapshot, SnapshotPhoto, SplitGroup, TrainingData

LABELS = "/api/v1/db/training-data"
SICK, SICKER = BANANA.class_names[2], BANANA.class_names[4]
HEALTHY = BANANA.class_names[min(BANANA.healthy_ids)]
OLDER_COLUMNS = {
    "id", "image_path", "image_hash", "class_id", "class_name", "bbox_data", "source", "source_id", "quality_score", "blur_score",
    "brightness_score", "is_validated", "validated_by", "validated_at", "dataset_split", "added_date", "metadata",
}  # fmt: skip
BOX = {"class_name": SICK, "bbox": {"x1": 10.0, "y1": 10.0, "x2": 60.0, "y2": 50.0}}
_numbers = iter(range(10**6))


@pytest.fixture(scope="module")
def service(start: Start) -> Service:
    begun = start(bundled=NO_MODEL)
    begun.key("reviewer")
    return begun


def label(service: Service, **changes: Any) -> str:
    """A label of a photo of its own; its id."""
    number = next(_numbers)
    key = service.parts.blobs.put(SICK_LEAF)
    boxes = [{**BOX, "class_id": 2}]
    values = {
        "image_path": key, "image_hash": f"{number:064x}", "width": 640, "height": 480, "outcome": "diseased", "class_id": 2,
        "class_name": SICK, "strength": "strong", "bbox_data": boxes, "source": "feedback", "source_id": None,
        "is_validated": True, "added_date": datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=number),
    }  # fmt: skip
    with service.parts.ledger.transaction() as session:
        row = TrainingData(**{**values, **changes})
        session.add(row)
        session.flush()
        return row.id


def in_snapshot(service: Service, label_id: str) -> None:
    with service.parts.ledger.transaction() as session:
        row = session.get_one(TrainingData, label_id)
        session.add(SplitGroup(id=row.image_hash, split="test"))
        name = row.image_hash
        session.add(
            Snapshot(hash=name, photos=1, splits={}, options={}, report={}, parts=[], actor="test"),
        )
        session.flush()
        session.add(PhotoSide(image_hash=row.image_hash, group_id=row.image_hash, split="test"))
        session.flush()
        photo = {"snapshot_hash": name, "image_hash": row.image_hash, "stored_sha256": row.image_path}
        session.add(SnapshotPhoto(**photo, group_id=row.image_hash, split="test"))
        row.split_group, row.dataset_split = row.image_hash, "test"


def get(service: Service, label_id: str) -> dict[str, Any]:
    answer = service.client.get(f"{LABELS}/{label_id}", headers=service.key("reviewer"))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def patch(service: Service, label_id: str, change: Any) -> Any:
    return service.client.patch(f"{LABELS}/{label_id}", headers=service.key("reviewer"), json=change)


def test_a_list_has_the_older_columns_and_filters_and_goes_on_by_cursor(service: Service) -> None:
    ids = [label(service, source="plots", dataset_split="val") for _ in range(5)][::-1]
    headers = service.key("reviewer")
    body = service.client.get(f"{LABELS}?source=plots", headers=headers).json()
    shapes.check(service.client, "GET", LABELS, body)
    assert [item["id"] for item in body["items"]] == ids
    assert set(body["items"][0]) >= OLDER_COLUMNS
    assert (body["total"], body["limit"], body["offset"], body["next_cursor"]) == (5, 100, 0, None)
    for query, count in (
        (f"class_name={SICK}", 5),
        (f"class_name={SICKER}", 0),
        ("dataset_split=val", 5),
        ("dataset_split=test", 0),
    ):
        assert service.client.get(f"{LABELS}?source=plots&{query}", headers=headers).json()["total"] == count
    seen, cursor = [], ""
    while cursor is not None:
        page = service.client.get(
            f"{LABELS}?source=plots&limit=2{cursor and '&cursor=' + cursor}", headers=headers
        ).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ids
    by_offset = service.client.get(f"{LABELS}?source=plots&limit=2&offset=2", headers=headers).json()
    assert [item["id"] for item in by_offset["items"]] == ids[2:4]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "offset=-1", "cursor=x", "source=a%00b", "class_name=" + "9" * 201]
)
def test_a_list_that_cannot_be_is_refused(service: Service, query: str) -> None:
    answer = service.client.get(f"{LABELS}?{query}", headers=service.key("reviewer"))
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_the_photo_of_a_label_is_a_picture(service: Service) -> None:
    label_id = label(service)
    url, headers = get(service, label_id)["image_path"], service.key("reviewer")
    answer = service.client.get(url, headers=headers)
    assert (answer.headers["content-type"], answer.content) == ("image/jpeg", SICK_LEAF)
    again = service.client.get(url, headers={**headers, "If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({"class_name": SICKER}, {"class_name": SICKER, "class_id": 4, "strength": "weak", "bbox_data": None}),
        ({"bbox_data": [{**BOX, "class_name": SICKER}]}, {"class_name": SICKER, "strength": "strong"}),
        ({"class_name": SICK}, {"strength": "strong", "class_name": SICK}),  # its boxes hold
        ({"bbox_data": None}, {"class_name": SICK, "strength": "weak"}),
        ({"outcome": "healthy", "bbox_data": []}, {"outcome": "healthy", "class_name": HEALTHY, "strength": "strong", "bbox_data": []}),
        ({"outcome": "no_leaf"}, {"outcome": "no_leaf", "class_name": None, "strength": "strong", "bbox_data": []}),
        ({"is_validated": False}, {"is_validated": False, "class_name": SICK, "strength": "strong"}),
        ({"outcome": "uncertain"}, {"is_validated": False, "class_name": SICK}),
        ({"group": " plot 8 "}, {"group": "plot 8", "strength": "strong"}),
    ],
)  # fmt: skip
def test_a_correction_is_a_new_revision_and_on_record(
    service: Service, change: dict[str, Any], after: dict[str, Any]
) -> None:
    label_id = label(service)
    assert patch(service, label_id, change).json() == {"ok": True, "id": label_id}
    now = get(service, label_id)
    assert {name: now[name] for name in after} == after
    assert (now["revision"], now["validated_by"]) == (2, f"{service.ids['reviewer']}/reviewer")
    with service.parts.ledger.reading() as session:
        entry = audit.newest_of(session, action="label.revise", subject=label_id)
        assert entry is not None
        assert entry.detail is not None
        assert entry.actor == f"key:{service.ids['reviewer']}"
        assert (entry.detail["before"]["class_name"], entry.detail["revision"]) == (SICK, 2)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"image_hash": "0" * 64}, "which photo"), ({"quality_score": 1.0}, "measured"), ({"dataset_split": "train"}, "side"),
        ({"source": "x"}, "came from"), ({"class_id": 3}, "class_name"), ({"class_name": SICKER, "strength": "strong"}, "bbox_data"),
    ],
)  # fmt: skip
def test_what_was_measured_and_where_a_label_came_from_stays_as_it_is(
    service: Service, change: dict[str, Any], word: str
) -> None:
    label_id = label(service)
    answer = patch(service, label_id, change)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_editable")
    assert word in answer.json()["detail"]
    assert get(service, label_id)["revision"] == 1


@pytest.mark.parametrize(
    "change",
    [{}, {"nonsense": 1}, [], {"class_name": "Stage99"}, {"bbox_data": []}, {"outcome": "perhaps"}, {"is_validated": 1},
     {"is_validated": None}, {"outcome": "uncertain", "is_validated": True}, {"revision": 1}, {"outcome": "healthy", "class_name": SICK}, {"group": "a\x00b"},
     {"bbox_data": [{**BOX, "bbox": {"x1": 10, "y1": 10, "x2": 9999, "y2": 50}}]}],
)  # fmt: skip
def test_a_correction_that_is_none_is_refused(service: Service, change: Any) -> None:
    label_id = label(service)
    answer = patch(service, label_id, change)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert get(service, label_id)["revision"] == 1


def test_what_a_snapshot_holds_is_corrected_for_the_next_ones_and_not_deleted_nor_moved(service: Service) -> None:
    label_id, headers = label(service), service.key("reviewer")
    in_snapshot(service, label_id)
    assert patch(service, label_id, {"group": "plot 9"}).json()["code"] == "not_editable"
    refused = service.client.delete(f"{LABELS}/{label_id}", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "still_in_use")
    assert patch(service, label_id, {"class_name": SICKER}).status_code == 200
    assert get(service, label_id)["dataset_split"] == "test"


def test_deleting_takes_a_label_and_is_on_record(service: Service) -> None:
    label_id, headers = label(service), service.key("reviewer")
    url = f"{LABELS}/{label_id}"
    assert service.client.delete(url, headers=headers).json() == {"ok": True, "deleted": label_id}
    for path in ("", "/photo"):
        assert service.client.get(url + path, headers=headers).json()["code"] == "not_found"
    assert service.client.delete(url, headers=headers).status_code == 404
    with service.parts.ledger.reading() as session:
        entry = audit.newest_of(session, action="label.remove", subject=label_id)
        assert entry is not None
        assert entry.detail is not None
        assert entry.detail["before"]["class_name"] == SICK


def test_a_correction_of_an_older_revision_is_refused(service: Service) -> None:
    label_id = label(service)
    assert patch(service, label_id, {"class_name": SICKER, "revision": 1}).status_code == 200
    late = patch(service, label_id, {"is_validated": False, "revision": 1})
    assert (late.status_code, late.json()["code"]) == (409, "label_conflict")
    assert (get(service, label_id)["is_validated"], get(service, label_id)["revision"]) == (True, 2)
    assert patch(service, label_id, {"is_validated": False, "revision": 2}).status_code == 200


def test_corrections_at_once_come_one_after_the_other_on_postgresql(start: Start, postgres_url: str) -> None:
    with closing(Ledger(postgres_url)) as ledger:
        ledger.upgrade()
    service = start(bundled=NO_MODEL, LEAFLOOP_DATABASE_URL=postgres_url)
    label_id = label(service)
    changes = [{"class_name": SICKER}, {"is_validated": False}, {"group": "plot 8"}, {"bbox_data": [BOX]}] * 2
    service.key("reviewer")
    with ThreadPoolExecutor(len(changes)) as pool:
        answers = list(pool.map(lambda change: patch(service, label_id, change), changes))
    assert {answer.status_code for answer in answers} == {200}
    assert get(service, label_id)["revision"] == 9
    with service.parts.ledger.reading() as session:
        told = [entry.detail or {} for entry in audit.latest(session, 20) if entry.action == "label.revise"]
    assert [detail["revision"] for detail in told] == list(range(9, 1, -1))
    assert all(later["before"] == earlier["after"] for later, earlier in pairwise(told))
