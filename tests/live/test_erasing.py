"""An object is removed with its last row, and never from under a row that is being written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.storage.conftest import answer

from leafloop.live import erasing
from leafloop.storage import predictions
from leafloop.storage.blobs import LocalBlobs
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Photo


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger on either database."""
    sqlite = request.param == "sqlite"
    opened = Ledger(f"sqlite:///{tmp_path / 'a.db'}" if sqlite else request.getfixturevalue("postgres_url"))
    opened.upgrade()
    yield opened
    opened.close()


def _record(ledger: Ledger, blobs: LocalBlobs, data: bytes) -> str:
    """As `live.answering` does it: the object, then its row."""
    key = blobs.put(data)
    photo, prediction = answer(image_path=key)
    photo.stored_sha256 = key
    with ledger.transaction() as session:
        erasing.keep_object(session, blobs, data, key)
        predictions.record_answer(session, photo, prediction)
        return prediction.id


def _delete(ledger: Ledger, blobs: LocalBlobs, prediction_id: str) -> None:
    with ledger.transaction() as session:
        gone = predictions.delete(session, prediction_id)
    keys = gone.objects if gone else []
    erasing.remove_objects(ledger, blobs, keys)


def test_the_object_goes_with_its_last_row(ledger: Ledger, tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    first, second = _record(ledger, blobs, b"leaf"), _record(ledger, blobs, b"leaf")
    _delete(ledger, blobs, first)
    assert len(list(blobs.keys())) == 1
    _delete(ledger, blobs, second)
    assert list(blobs.keys()) == []


def test_an_object_that_was_named_again_before_its_removal_stays(ledger: Ledger, tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    known = _record(ledger, blobs, b"leaf")
    with ledger.transaction() as session:
        gone = predictions.delete(session, known)
    keys = gone.objects if gone else []
    _record(ledger, blobs, b"leaf")
    erasing.remove_objects(ledger, blobs, keys)
    assert list(blobs.keys()) == keys


def test_an_object_that_was_removed_before_its_row_is_put_back(ledger: Ledger, tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    key = blobs.put(b"leaf")
    erasing.remove_objects(ledger, blobs, [key])
    with ledger.transaction() as session:
        erasing.keep_object(session, blobs, b"leaf", key)
        photo, prediction = answer()
        predictions.record_answer(session, photo, prediction)
    assert blobs.get(key) == b"leaf"


def test_sending_and_deleting_the_same_bytes_at_once_never_leaves_a_row_without_its_object(
    ledger: Ledger, tmp_path: Path
) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")

    def send_and_delete() -> None:
        for _ in range(10):
            _delete(ledger, blobs, _record(ledger, blobs, b"leaf"))

    def send() -> None:
        for _ in range(10):
            _record(ledger, blobs, b"leaf")
            with ledger.reading() as session:
                (key,) = {row.stored_sha256 for row in session.query(Photo)}
            assert blobs.get(key) == b"leaf"

    failed: list[BaseException] = []

    def run(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in (send_and_delete, send, send_and_delete)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
