"""From nothing to an answer that is kept: the way of a stranger, with the model that the package brings."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from tests.service import Service

from leafloop.simulation import leaves
from leafloop.vision.bundle import open_bundle, write_bundle

BUNDLED = Path(__file__).resolve().parents[2] / "src/leafloop/bundled"


@pytest.fixture(scope="module")
def photo() -> bytes:
    """A phone's JPEG, lying on its side, with a position in it."""
    return leaves.encode(leaves.render(11, width=800, height=600, stages=6), 11, orientation=6, gps=(14.5995, 120.9842))


def _predict(service: Service, photo: bytes, **headers: str) -> dict[str, object]:
    answer = service.http.post("/api/v1/predict", files={"file": ("leaf.jpg", photo, "image/jpeg")}, headers=headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body, dict)
    return body


def test_what_was_answered_survives_a_kill_and_a_retry_gives_the_same(service: Service, photo: bytes) -> None:
    said = _predict(service, photo, **{"Idempotency-Key": "one"})
    service.stop(signal.SIGKILL)
    service.start()
    assert _predict(service, photo, **{"Idempotency-Key": "one"}) == said
    kept = service.http.get("/api/v1/db/predictions").json()
    assert kept["total"] == 1
    assert kept["items"][0]["id"] == said["prediction_id"]


def test_the_photo_comes_back_upright_in_its_boxes_coordinates_and_without_its_position(
    service: Service, photo: bytes
) -> None:
    said = _predict(service, photo)
    assert said["image_size"] == {"width": 600, "height": 800}
    served = service.http.get(f"/api/v1/db/predictions/{said['prediction_id']}/photo")
    assert served.headers["content-type"] == "image/jpeg"
    assert b"GPS" not in served.content
    assert len(served.content) > 0.9 * (len(photo) - 2000)  # nothing was encoded again


def test_a_model_that_is_promoted_answers_without_a_restart(service: Service, photo: bytes, tmp_path: Path) -> None:
    other = _copy_of_the_bundled_model(tmp_path)
    imported = json.loads(service.leafloop("models", "import", str(other), "--json"))
    moved = json.loads(service.leafloop("models", "promote", imported["version"], "--reason", "a journey", "--json"))
    assert moved == {"version": imported["version"], "previous": "1"}
    assert _version_within(service, photo, imported["version"], seconds=60)
    back = json.loads(service.leafloop("models", "rollback", "--reason", "and back", "--json"))
    assert back == {"version": "1", "previous": imported["version"]}
    assert _version_within(service, photo, "1", seconds=60)


def _version_within(service: Service, photo: bytes, version: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        model = _predict(service, photo)["model"]
        assert isinstance(model, dict)
        if model["version"] == version:
            return True
        time.sleep(0.2)
    return False


def _copy_of_the_bundled_model(folder: Path) -> Path:
    """The same model under another name, so that it is another bundle."""
    bundled = open_bundle(BUNDLED)
    facts = bundled.manifest.model_dump(mode="json")
    files = {name: BUNDLED / name for name in facts.pop("files")}
    write_bundle(folder / "other", {**facts, "name": "another"}, files)
    return folder / "other"


def test_the_service_ends_at_once_when_asked_and_says_goodbye_to_nobody(service: Service, photo: bytes) -> None:
    _predict(service, photo)
    began = time.monotonic()
    assert service.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
    assert time.monotonic() - began < 10
    assert "Traceback" not in service.log()


def test_a_damaged_object_is_said_and_the_rest_goes_on(service: Service, photo: bytes) -> None:
    said = _predict(service, photo)
    for path in (service.home / "blobs").glob("??/??/*"):
        if path.stat().st_size < len(photo) + 10_000 and path.read_bytes()[:2] == b"\xff\xd8":
            path.write_bytes(path.read_bytes()[:-100] + b"\0" * 100)
    answer = service.http.get(f"/api/v1/db/predictions/{said['prediction_id']}/photo")
    assert answer.status_code == 500
    assert answer.json()["code"] == "blob_corrupt"
    assert _predict(service, photo)["success"] is True
