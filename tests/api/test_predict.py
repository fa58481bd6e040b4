"""A photo over HTTP: the answer's shape, what older clients rely on, retries, and everything that is no photo."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from sqlalchemy import func, select
from tests.api import shapes
from tests.api.conftest import NO_MODEL, SICK, SICK_LEAF, Service, Start, jpeg
from tests.api.serving import raw
from tests.api.test_upload import HOSTILE_NAMES
from tests.tiny_models import BANANA

from leafloop.storage.tables import Photo, Prediction

PREDICT, CLASSIFY, DEBUG = "/api/v1/predict", "/api/v1/predict/classify", "/api/v1/predict/classify/debug"
KEYS = {
    "success", "prediction_id", "user_id", "image_size", "class_id", "class_name", "confidence", "reliable", "outcome",
    "advice", "quality", "detections", "model", "timings_ms",
}  # fmt: skip


def rows(service: Service) -> int:
    with service.parts.ledger.reading() as session:
        return session.scalar(select(func.count()).select_from(Prediction)) or 0


def row(service: Service, prediction_id: str) -> tuple[Prediction, Photo]:
    with service.parts.ledger.reading() as session:
        found = session.execute(select(Prediction, Photo).join(Photo).where(Prediction.id == prediction_id)).one()
        session.expunge_all()
        return found[0], found[1]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def png(pixels: Any) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_a_photo_is_answered_with_all_that_was_found(open_service: Service) -> None:
    answer = open_service.predict(user_id="maria", user_location="Davao")
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == KEYS
    assert (body["user_id"], body["image_size"]) == ("maria", {"width": 640, "height": 480})
    assert (body["class_id"], body["class_name"], body["outcome"]) == (SICK, BANANA.class_names[SICK], "diseased")
    assert [d["class_id"] for d in body["detections"]] == [SICK, SICK]
    boxes = sorted(tuple(d["bbox"].values()) for d in body["detections"])
    assert np.allclose(boxes, [(100, 100, 220, 200), (300, 250, 380, 330)], atol=6)
    shapes.check(open_service.client, "POST", PREDICT, body)


def test_an_answer_is_kept_before_it_is_sent_with_the_id_of_its_request(open_service: Service) -> None:
    headers = {"X-Request-ID": "trace-17.a_b"}
    fields = {"user_id": " maria ", "group": "plot 7", "consent": "true", "captured_at": "2026-11-24T08:30:00+08:00"}
    answer = open_service.predict(headers=headers, **fields)
    prediction, photo = row(open_service, answer.json()["prediction_id"])
    assert answer.headers["x-request-id"] == prediction.request_id == "trace-17.a_b"
    assert prediction.answer == answer.json()
    assert (prediction.user_id, prediction.source, photo.file_name) == ("maria", "api", "leaf.jpg")
    assert (photo.group, photo.consent) == ("plot 7", True)
    assert photo.captured_at is not None
    assert photo.captured_at.isoformat() == "2026-11-24T00:30:00+00:00"
    assert open_service.parts.blobs.has(photo.stored_sha256)


def test_nothing_found_is_kept_and_answered_too(open_service: Service) -> None:
    body = open_service.predict(png(np.full((480, 640, 3), 128, np.uint8))).json()  # a grey wall
    assert body["outcome"] in ("no_leaf", "uncertain")
    assert (body["class_id"], body["class_name"], body["detections"]) == (None, None, [])
    assert row(open_service, body["prediction_id"])[0].outcome == body["outcome"]
    shapes.check(open_service.client, "POST", PREDICT, body)


def test_a_raw_body_gives_the_same_answer_as_a_form(open_service: Service) -> None:
    form = open_service.predict(user_id="maria").json()
    for kind in ("image/jpeg", "application/octet-stream"):
        headers = {"Content-Type": kind}
        alone = open_service.client.post(f"{PREDICT}?user_id=maria", content=SICK_LEAF, headers=headers).json()
        for name in KEYS - {"prediction_id", "timings_ms"}:
            assert alone[name] == form[name]


def test_classify_is_the_same_without_boxes(open_service: Service) -> None:
    body = open_service.client.post(CLASSIFY, files={"file": SICK_LEAF}).json()
    assert set(body) == KEYS - {"detections"}
    assert body["class_name"] == BANANA.class_names[SICK]
    shapes.check(open_service.client, "POST", CLASSIFY, body)


def test_debug_shows_everything_and_stores_nothing(open_service: Service) -> None:
    before = rows(open_service)
    body = open_service.client.post(DEBUG, files={"file": SICK_LEAF}, data={"user_id": "maria"}).json()
    assert body["total_detections"] == len(body["all_detections"]) >= 2
    assert body["top_class"] == BANANA.class_names[SICK]
    assert body["user_id"] == "maria"
    assert rows(open_service) == before
    shapes.check(open_service.client, "POST", DEBUG, body)


def test_debug_takes_no_field_that_predict_would_refuse(open_service: Service) -> None:
    for wrong in ({"user_id": "x" * 201}, {"group": "a\nb"}, {"captured_at": "yesterday"}):
        answer = open_service.client.post(DEBUG, files={"file": SICK_LEAF}, data=wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, *wrong)


# Older clients' requests, as field/older-system.md of the project's notes lists them: request -> keys that are read.
OLDER: dict[str, tuple[str, str, dict[str, Any], set[str]]] = {
    "root": ("GET", "/", {"headers": {"Accept": "application/json"}}, {"message", "version", "endpoints"}),
    "health": ("GET", "/health", {}, {"status", "message"}),
    "model info": ("GET", "/model/info", {}, {"classes", "num_classes", "class_names"}),
    "predict": (
        "POST", PREDICT, {"files": {"file": ("a.jpg", SICK_LEAF, "image/jpeg")}, "data": {"user_id": "u1", "user_location": "x"}},
        {"success", "user_id", "image_size", "detections", "prediction_id"},
    ),
    "predict without a user": (
        "POST", PREDICT, {"files": {"file": SICK_LEAF}}, {"success", "user_id", "image_size", "detections", "prediction_id"},
    ),
    "classify": (
        "POST", CLASSIFY, {"files": {"file": SICK_LEAF}}, {"user_id", "class_name", "confidence", "reliable", "prediction_id"},
    ),
    "debug": (
        "POST", DEBUG, {"files": {"file": SICK_LEAF}},
        {"user_id", "all_detections", "classes_detected", "total_detections", "top_class", "top_confidence"},
    ),
    "predictions": (
        "GET", "/api/v1/db/predictions?limit=10&offset=0&user_id=u1&predicted_class_name=x&model_version=1", {},
        {"total", "limit", "offset", "items"},
    ),
    "status": ("GET", "/api/v1/mlops/status?model_name=banana", {}, {"model_name", "production", "staging"}),
}  # fmt: skip


@pytest.mark.parametrize("name", OLDER)
def test_an_older_clients_request_finds_the_keys_that_it_reads(open_service: Service, name: str) -> None:
    method, path, options, keys = OLDER[name]
    answer = open_service.client.request(method, path, **options)
    assert answer.status_code == 200
    assert set(answer.json()) >= keys


def test_older_clients_read_boxes_and_classes_in_their_old_form(open_service: Service) -> None:
    detection = open_service.predict().json()["detections"][0]
    assert set(detection) == {"class_id", "class_name", "confidence", "bbox"}
    assert set(detection["bbox"]) == {"x1", "y1", "x2", "y2"}
    info = open_service.client.get("/model/info").json()
    assert info["classes"] == {str(i): name for i, name in enumerate(BANANA.class_names)}
    assert (info["num_classes"], info["class_names"]) == (len(BANANA.classes), list(BANANA.class_names))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", (422, "empty")),
        (b"%PDF-1.7 not a picture at all", (415, "not_an_image")),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", (415, None)),
        (b"GIF89a" + bytes(200), (415, "unsupported_type")),
        (SICK_LEAF[: len(SICK_LEAF) // 2], (422, "undecodable")),
        (png(np.zeros((20, 20, 3), np.uint8)), (422, "too_small")),
        (png(np.zeros((100, 4000, 3), np.uint8)), (422, None)),
    ],
    ids=["empty", "pdf", "svg", "gif", "cut off", "tiny", "strip"],
)
def test_what_is_no_photo_of_a_leaf_is_refused_and_not_kept(
    open_service: Service, data: bytes, expected: tuple[int, str | None]
) -> None:
    before = rows(open_service)
    answer = open_service.predict(data)
    assert answer.status_code == expected[0]
    assert expected[1] in (None, answer.json()["code"])
    assert rows(open_service) == before


def test_too_many_pixels_are_refused_from_the_header(start: Start) -> None:
    small = start(bundled=NO_MODEL, LEAFLOOP_MAX_PIXELS="1000000")
    assert code(small.predict(png(np.zeros((1100, 1100, 3), np.uint8)))) == (413, "too_many_pixels")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_strange_file_name_harms_nothing(open_service: Service, name: str) -> None:
    answer = open_service.client.post(PREDICT, files={"file": (name, SICK_LEAF)})
    assert answer.status_code == 200
    kept = row(open_service, answer.json()["prediction_id"])[1].file_name
    assert kept is None or (len(kept) <= 200 and not any(ord(c) < 32 for c in kept))


@pytest.mark.parametrize(
    "fields",
    [
        {"user_id": "x" * 201},
        {"user_id": "a\x00b"},
        {"captured_at": "yesterday"},
        {"consent": "maybe"},
        {"group": "a\x1bb"},
    ],
)
def test_a_field_that_does_not_fit_is_named(open_service: Service, fields: dict[str, str]) -> None:
    answer = open_service.predict(**fields)
    assert code(answer) == (422, "request_invalid")
    assert answer.json()["field"] == next(iter(fields))


def test_a_retry_with_the_same_key_is_answered_once(open_service: Service) -> None:
    before, headers = rows(open_service), {"Idempotency-Key": "photo-1"}
    first, second = open_service.predict(headers=headers), open_service.predict(headers=headers)
    assert first.json() == second.json()
    assert rows(open_service) == before + 1


def test_many_retries_at_once_are_answered_once(open_service: Service) -> None:
    before, headers = rows(open_service), {"Idempotency-Key": "photo-2"}
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: open_service.predict(headers=headers), range(30)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.text for a in answers}) == 1
    assert rows(open_service) == before + 1


def test_a_key_of_another_photo_is_a_conflict_and_another_callers_is_not(service: Service) -> None:
    mine = {**service.key("field", "maria"), "Idempotency-Key": "1"}
    theirs = {**service.key("field", "pedro"), "Idempotency-Key": "1"}
    assert service.predict(headers=mine).status_code == 200
    assert code(service.predict(jpeg(), headers=mine)) == (422, "idempotency_conflict")
    assert service.predict(jpeg(), headers=theirs).status_code == 200


@pytest.mark.parametrize("key", ["x" * 256, "caf\u00e9".encode().decode("latin-1")])
def test_a_key_of_another_form_is_refused(open_service: Service, key: str) -> None:
    answer = open_service.predict(headers={b"Idempotency-Key": key.encode("latin-1")})  # type: ignore[dict-item]
    assert code(answer) == (422, "request_invalid")


def test_more_photos_than_places_are_told_to_come_again_and_health_is_answered_meanwhile(start: Start) -> None:
    narrow = start(LEAFLOOP_MAX_WAITING="1")
    with ThreadPoolExecutor(1) as pool:
        with narrow.parts.answering._hands.hold(10**9):  # the photo in the only place waits for its turn
            first = pool.submit(narrow.predict)
            while "leafloop_requests_in_progress 2.0" not in narrow.client.get("/metrics").text:
                assert not first.done()
            for refused in [narrow.predict() for _ in range(5)]:
                assert code(refused) == (503, "overloaded")
                assert 1 <= int(refused.headers["retry-after"]) <= 10
            assert narrow.client.get("/health").status_code == 200
        assert first.result().status_code == 200
    assert narrow.predict().status_code == 200


def test_a_photo_without_a_key_is_refused_with_the_reason_although_it_is_still_being_sent(service: Service) -> None:
    answer = service.predict(bytes(20 * 1024 * 1024))
    assert code(answer) == (401, "key_missing")


def test_a_client_that_leaves_midway_breaks_nothing(open_service: Service) -> None:
    before = rows(open_service)
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"
    raw(str(open_service.client.base_url).rstrip("/"), head + SICK_LEAF[:1000], timeout=0.3)
    assert open_service.client.get("/health").status_code == 200
    assert rows(open_service) == before
