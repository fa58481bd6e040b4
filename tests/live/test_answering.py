"""Answered and kept: what is said was stored first, once, and what is refused leaves no trace."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prometheus_client import REGISTRY
from sqlalchemy import select
from tests.live.conftest import FE, RED, Shutter, answering_with, kept, picture, send

from leafloop.errors import (
    DatabaseUnavailable,
    EmptyUpload,
    LeafloopError,
    ModelUnavailable,
    NotAnImage,
    Overloaded,
    RequestInvalid,
    StorageFull,
    TooManyBytes,
    Unavailable,
)
from leafloop.live import once
from leafloop.live.answering import Submission
from leafloop.live.parts import Parts, open_parts
from leafloop.settings import Settings
from leafloop.storage import predictions
from leafloop.storage.tables import IdempotencyKey, Prediction
from leafloop.vision.bundle import Bundle

WAIT = 20  # seconds: far more than any step here takes, far less than a hung test run


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def row_of(parts: Parts, body: dict[str, Any]) -> Prediction:
    with parts.ledger.reading() as session:
        row = predictions.get(session, body["prediction_id"])
        assert row is not None
        session.expunge(row)
        return row


# What is said and what is kept


def test_the_answer_says_what_was_found_by_which_model_and_how_long_it_took(parts: Parts, rgb: Bundle) -> None:
    body = send(parts, user_id="ana")
    assert list(body) == [
        "success", "prediction_id", "user_id", "image_size", "class_id", "class_name", "confidence", "reliable", "outcome",
        "advice", "quality", "detections", "model", "timings_ms",
    ]  # fmt: skip
    names = parts.taxonomy.class_names
    assert (body["success"], body["user_id"], body["image_size"]) == (True, "ana", {"width": 300, "height": 280})
    assert (body["class_id"], body["class_name"], body["outcome"], body["reliable"]) == (
        RED,
        names[RED],
        "diseased",
        True,
    )
    assert body["advice"] == parts.taxonomy.advice_for(RED)
    assert body["detections"] == [
        {
            "class_id": RED,
            "class_name": names[RED],
            "confidence": 1.0,
            "bbox": {"x1": 100.0, "y1": 120.0, "x2": 180.0, "y2": 170.0},
        }
    ]
    assert body["model"] == {"name": "rgb", "version": "1", "bundle": rgb.hash}
    assert {"decode", "tile", "infer", "merge", "store", "total"} <= set(body["timings_ms"])
    assert body["timings_ms"]["total"] >= body["timings_ms"]["infer"] + body["timings_ms"]["decode"]
    assert {"sharpness", "brightness", "leaf_fraction", "width", "height", "warnings"} == set(body["quality"])


def test_the_row_holds_the_body_as_it_was_sent_and_the_older_columns(parts: Parts) -> None:
    data = picture()
    said = {
        "user_id": "ana",
        "user_location": "Davao",
        "group": "plot 3",
        "consent": True,
        "captured_at": "2026-11-24T08:30:00+08:00",
    }
    body = send(parts, data, **said, file_name="../a\n.png", request_id="req-1", source="page")
    row = row_of(parts, body)
    assert row.answer == json.loads(json.dumps(body))
    assert (row.key_id, row.user_id, row.user_location, row.source, row.request_id) == (
        "fekey123",
        "ana",
        "Davao",
        "page",
        "req-1",
    )
    assert (row.predicted_class_id, row.predicted_class_name, row.confidence) == (RED, body["class_name"], 1.0)
    assert (row.outcome, row.reliable, row.bbox_data) == ("diseased", True, body["detections"])
    assert (row.model_version, row.model_name, row.bundle_hash) == ("1", "rgb", body["model"]["bundle"])
    assert (row.image_width, row.image_height, row.image_hash) == (300, 280, hashlib.sha256(data).hexdigest())
    assert row.image_size_kb == pytest.approx(len(data) / 1024, abs=0.1)
    assert row.inference_time_ms == body["timings_ms"]["infer"]
    with parts.ledger.reading() as session:
        photo = predictions.photo_of(session, row)
        assert (photo.file_name, photo.group, photo.consent) == ("../a\\n.png", "plot 3", True)
        assert photo.captured_at is not None
        assert photo.captured_at.isoformat() == "2026-11-24T00:30:00+00:00"
        assert (photo.sha256, photo.stored_sha256, photo.media_type) == (row.image_hash, row.image_path, "image/png")
    Image.open(io.BytesIO(parts.blobs.get(row.image_path))).load()


def test_only_a_copy_without_place_or_camera_is_kept(parts: Parts) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[2] = (7.0, 4.0, 12.0)
    body = send(parts, picture(form="JPEG", quality=95, exif=exif))
    row = row_of(parts, body)
    stored = parts.blobs.get(row.image_path)
    assert not Image.open(io.BytesIO(stored)).getexif().get_ifd(0x8825)
    everything = stored + b"".join(path.read_bytes() for path in parts.settings.home.glob("leafloop.db*"))
    assert b"SecretCamera" not in everything
    assert row.user_location is None
    assert row.image_hash != row.image_path


def test_a_photo_without_a_verdict_has_no_class_and_no_advice(parts: Parts) -> None:
    grey = io.BytesIO()
    Image.new("RGB", (300, 300), (128, 128, 128)).save(grey, "PNG")
    body = send(parts, grey.getvalue())
    assert body["outcome"] in ("no_leaf", "uncertain")
    assert (body["class_id"], body["class_name"], body["advice"], body["reliable"], body["detections"]) == (
        None,
        None,
        None,
        False,
        [],
    )
    row = row_of(parts, body)
    assert (row.predicted_class_id, row.predicted_class_name) == (None, None)


def test_an_answer_is_counted_by_version_and_outcome(parts: Parts) -> None:
    labels = {"model_version": "1", "role": "champion", "verdict": "diseased"}
    before = REGISTRY.get_sample_value("leafloop_predictions_total", labels) or 0
    send(parts)
    assert REGISTRY.get_sample_value("leafloop_predictions_total", labels) == before + 1
    for stage in ("decode", "tile", "infer", "merge", "store"):
        assert REGISTRY.get_sample_value("leafloop_predict_stage_seconds_count", {"stage": stage})


def test_the_debug_call_shows_all_and_stores_nothing(parts: Parts) -> None:
    body = parts.answering.debug(picture())
    assert body["total_detections"] == len(body["all_detections"]) >= 1
    assert (body["top_class"], body["top_confidence"]) == (parts.taxonomy.class_names[RED], 1.0)
    assert body["classes_detected"][0] == {"class_name": body["top_class"], "confidence": 1.0}
    assert kept(parts) == (0, 0, 0)


# What is refused, and what goes wrong


@pytest.mark.parametrize(
    ("data", "fields", "error"),
    [
        (b"", {}, EmptyUpload),
        (b"hello", {}, NotAnImage),
        (b"\xff\xd8\xff" + b"x" * 2_000_000, {}, TooManyBytes),
        (None, {"user_id": "x" * 201}, RequestInvalid),
        (None, {"idempotency_key": "a\nb"}, RequestInvalid),
    ],
)
def test_what_is_refused_leaves_no_trace_also_under_a_key(
    settings: Settings, rgb: Bundle, data: bytes | None, fields: dict[str, Any], error: type[LeafloopError]
) -> None:
    with open_parts(settings.model_copy(update={"max_upload_bytes": 1_048_576}), bundled=rgb.path) as parts:
        for key in (None, "k1"):
            with pytest.raises(error):
                send(parts, data, **{"idempotency_key": key, **fields})
        assert kept(parts) == (0, 0, 0)
        send(parts, idempotency_key="k1")  # the key is free for the photo that is taken


def test_a_refusal_is_counted_by_its_code(parts: Parts) -> None:
    before = REGISTRY.get_sample_value("leafloop_photos_rejected_total", {"code": "empty"}) or 0
    with pytest.raises(EmptyUpload):
        send(parts, b"")
    assert REGISTRY.get_sample_value("leafloop_photos_rejected_total", {"code": "empty"}) == before + 1


@pytest.mark.parametrize("death", [StorageFull(), KeyboardInterrupt()])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_death_around_storing_the_photo_leaves_no_row_and_the_retry_is_answered(
    parts: Parts, death: BaseException, when: str
) -> None:
    dying = answering_with(parts, Shutter(parts, **{when: raising(death)}))
    request = Submission(picture(), idempotency_key="k1")
    with pytest.raises(type(death)):
        dying.answer(request, FE)
    assert kept(parts)[:2] == (0, 0)
    body = parts.answering.answer(request, FE)
    assert kept(parts) == (1, 1, 1)
    assert parts.answering.answer(request, FE) == body


def test_a_database_that_goes_away_acknowledges_nothing_and_the_retry_is_answered(parts: Parts) -> None:
    file, aside = parts.settings.home / "leafloop.db", parts.settings.home / "aside.db"

    def away() -> None:
        parts.ledger.close()
        file.rename(aside)
        file.mkdir()

    failing = answering_with(parts, Shutter(parts, after=away))
    with pytest.raises(Unavailable):
        failing.answer(Submission(picture()), FE)
    file.rmdir()
    aside.rename(file)
    parts.ledger.close()
    assert kept(parts)[:2] == (0, 0)
    send(parts)
    assert kept(parts)[:2] == (1, 1)


def test_without_a_model_nothing_is_acknowledged(settings: Settings, tmp_path: Path) -> None:
    with open_parts(settings, bundled=tmp_path) as parts:
        with pytest.raises(ModelUnavailable, match="No model was promoted"):
            send(parts)
        assert kept(parts) == (0, 0, 0)


# How many at once


class Gate:
    """Holds photos under way at the store until it is opened."""

    def __init__(self) -> None:
        self.held, self.opened = threading.Semaphore(0), threading.Event()

    def __call__(self) -> None:
        self.held.release()
        assert self.opened.wait(WAIT)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


def test_beyond_the_places_a_photo_is_refused_at_once_and_keeps_nothing(parts: Parts, gate: Gate) -> None:
    busy = answering_with(parts, Shutter(parts, before=gate), max_waiting=2)
    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(busy.answer, Submission(picture()), FE) for _ in range(2)]
        assert all(gate.held.acquire(timeout=WAIT) for _ in under_way)
        began = time.monotonic()
        for key in (None, "k1"):
            with parts.ledger.transaction(), pytest.raises(Overloaded):  # it needs no write, so it waits for no writer
                busy.answer(Submission(picture(), idempotency_key=key), FE)
        with pytest.raises(Overloaded):
            busy.debug(picture())
        assert time.monotonic() - began < 4  # a writer's wait for the lock would be 5 s, each time
        gate.opened.set()
        assert len({future.result(WAIT)["prediction_id"] for future in under_way}) == 2
    with parts.ledger.reading() as session:
        assert session.scalars(select(IdempotencyKey)).all() == []
    busy.answer(Submission(picture(), idempotency_key="k1"), FE)  # the places are free again


def test_a_twin_that_waits_takes_no_place(parts: Parts, gate: Gate) -> None:
    busy = answering_with(parts, Shutter(parts, before=gate), max_waiting=2)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(busy.answer, Submission(picture(), idempotency_key="k1"), FE)
        assert gate.held.acquire(timeout=WAIT)
        twin = partial(busy.answer, Submission(picture(), idempotency_key="k1"), FE)
        twins = [pool.submit(once.patiently, twin) for _ in range(5)]
        other = pool.submit(busy.answer, Submission(picture()), FE)
        assert gate.held.acquire(timeout=WAIT)  # the second place was free for another photo
        gate.opened.set()
        assert {twin.result(WAIT)["prediction_id"] for twin in twins} == {first.result(WAIT)["prediction_id"]}
        assert other.result(WAIT)["prediction_id"] != first.result(WAIT)["prediction_id"]


def test_a_photo_that_fails_gives_its_place_back(parts: Parts) -> None:
    small = answering_with(parts, parts.blobs, max_waiting=1)
    for _ in range(3):
        with pytest.raises(NotAnImage):
            small.answer(Submission(b"no"), FE)
    small.answer(Submission(picture()), FE)


def test_a_claim_that_could_not_be_let_go_holds_nobody_up(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as away:
        away.setattr("leafloop.live.rows.record", gone)
        away.setattr("leafloop.storage.idempotency.release", gone)
        with pytest.raises(DatabaseUnavailable):
            send(parts, idempotency_key="k1")
    began = time.monotonic()
    body = send(parts, idempotency_key="k1")
    assert time.monotonic() - began < once.LEASE.total_seconds() / 2
    assert send(parts, idempotency_key="k1") == body
    assert kept(parts) == (1, 1, 1)
