"""Bytes that rot on the disk (matrix row 5): found by their hash, named, set aside, and healed by the same bytes from anywhere."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.chaos.conftest import audit, counted, faults, ready
from tests.chaos.journal import Journal, compare
from tests.chaos.photos import stored_hash
from tests.chaos.workload import Client
from tests.service import Service

from leafloop.storage.objects import hash_of

NewService = Callable[..., Service]


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def end_zeroed(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: -min(4096, size)] + bytes(min(4096, size)))


def bit_flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


SPOIL = [
    bit_flipped,
    pytest.param(half, marks=pytest.mark.slow),
    pytest.param(end_zeroed, marks=pytest.mark.slow),
]


def _object(service: Service, key: str) -> Path:
    (path,) = (service.home / "blobs").glob(f"??/??/{key}*")
    return path


@pytest.mark.parametrize("spoil", SPOIL)
def test_a_rotten_photo_is_the_trouble_of_its_own_answer_alone(
    service: Service, journal: Journal, spoil: Callable[[Path], None]
) -> None:
    client = Client(service, journal)
    ids = [client.upload(number).json()["prediction_id"] for number in (1, 2)]  # type: ignore[union-attr]
    path = _object(service, stored_hash(1))
    backup = path.read_bytes()
    spoil(path)
    for _ in range(2):
        answer = service.http.get(f"/api/v1/db/predictions/{ids[0]}/photo")
        assert (answer.status_code, answer.json()["code"]) == (500, "blob_corrupt")
    assert service.http.get(f"/api/v1/db/predictions/{ids[0]}").status_code == 200  # what was said is still known
    assert service.http.get(f"/api/v1/db/predictions/{ids[1]}/photo").status_code == 200
    assert _object(service, stored_hash(1)).name.endswith(".rotten")
    assert counted(service, "leafloop_objects_rotten_total") == 1
    assert service.events("object is rotten")[0]["key"] == stored_hash(1)
    (found,) = faults(service)
    assert found["check"] == "photos"
    assert ids[0] in found["detail"]

    path.write_bytes(backup)  # brought back from a backup, under its own name
    audit(service, journal)
    spoil(path)
    assert [found["check"] for found in faults(service)] == ["photos"]
    client.upload(1)  # sent again
    audit(service, journal)


@pytest.mark.parametrize("spoil", SPOIL)
@pytest.mark.parametrize("what", ["model.onnx", pytest.param("manifest.json", marks=pytest.mark.slow)])
def test_a_rotten_model_goes_on_answering_and_at_the_next_start_says_why_it_cannot(
    service: Service, journal: Journal, tiny: Path, spoil: Callable[[Path], None], what: str
) -> None:
    client = Client(service, journal)
    client.upload(1)
    spoil(_object(service, hash_of((tiny / what).read_bytes())))
    assert client.upload(2).status_code == 200  # type: ignore[union-attr]
    assert {found["check"] for found in faults(service)} >= {"models", "champion"}

    service.kill()
    shutil.rmtree(service.home / "cache")
    service.start()
    assert ready(service)["model"]["state"] == "down"
    assert "no longer matches its hash" in ready(service)["model"]["detail"]
    assert client.upload(3).json()["code"] == "model_unavailable"  # type: ignore[union-attr]
    compare(service.http, journal)
    service.leafloop("models", "import", str(tiny))
    service.kill()
    service.start()
    assert client.upload(3).status_code == 200  # type: ignore[union-attr]
    audit(service, journal)


def test_a_rotten_unpacked_model_is_unpacked_again(service: Service, journal: Journal) -> None:
    service.kill()
    for path in (service.home / "cache" / "bundles").glob("*/*"):
        bit_flipped(path)
    service.start()
    assert Client(service, journal).upload(1).status_code == 200  # type: ignore[union-attr]
    audit(service, journal)


def test_the_model_that_the_package_brings_heals_itself(tmp_path: Path, journal: Journal) -> None:
    service = Service(tmp_path / "home")
    service.start()
    service.kill()
    shutil.rmtree(service.home / "cache")
    for path in (service.home / "blobs").glob("??/??/*"):
        bit_flipped(path)
    service.start()
    try:
        assert service.events("stored model is damaged; brought again from the package")
        audit(service, journal)
    finally:
        service.kill()


@pytest.mark.parametrize("spoil", SPOIL)
def test_a_torn_log_of_the_database_opens_with_what_came_before_the_tear(
    service: Service, journal: Journal, spoil: Callable[[Path], None]
) -> None:
    """What stood behind the tear is lost: only a copy has it. What is left is whole, and the service goes on."""
    client = Client(service, journal)
    for number in range(1, 6):
        client.upload(number)
    service.kill()
    spoil(service.home / "leafloop.db-wal")
    service.start()
    assert service.http.get("/ready").status_code == 200
    assert faults(service) == []
    said = {ack.id for ack in journal.acked()}
    kept = {row["id"] for row in service.http.get("/api/v1/db/predictions").json()["items"]}
    assert kept <= said
    for prediction_id in kept:
        assert service.http.get(f"/api/v1/db/predictions/{prediction_id}/photo").status_code == 200
    assert client.upload(6).status_code == 200  # type: ignore[union-attr]


def test_a_rotten_page_of_the_database_is_named_by_the_audit(service: Service, journal: Journal) -> None:
    client = Client(service, journal)
    client.upload(1)
    service.stop()
    with sqlite3.connect(service.home / "leafloop.db") as ledger:
        (page,) = ledger.execute("select rootpage from sqlite_master where name = 'ix_photos_stored_sha256'").fetchone()
        (size,) = ledger.execute("pragma page_size").fetchone()
    ledger.close()
    with (service.home / "leafloop.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))
    service.start()
    (file_fault, *_rest) = [found for found in faults(service) if found["check"] == "file"]
    assert "backup" in file_fault["mend"]
