"""The service dies when six tenths of a photo are safe: the rest is sent to the next one, and it is one photo, bit for bit."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
from tests.chaos.conftest import faults
from tests.chaos.photos import photo
from tests.service import Service

AT = "/api/v1/uploads"
PIECES = 10


def _begin(service: Service, length: int) -> httpx.Response:
    headers = {"Upload-Length": str(length), "Idempotency-Key": "phone-1", "Tus-Resumable": "1.0.0"}
    made = service.http.post(AT, headers=headers)
    assert made.status_code == 201, made.text
    return made


def _send(service: Service, place: str, offset: int, piece: bytes) -> None:
    headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    sent = service.http.patch(place, content=piece, headers=headers)
    assert sent.status_code == 204, sent.text
    assert sent.headers["upload-offset"] == str(offset + len(piece))


def _kept(service: Service) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = service.http.get("/api/v1/db/predictions").json()["items"]
    return items


def test_killed_at_six_tenths_it_goes_on_from_there_and_is_one_photo(service: Service) -> None:
    data = photo(60)
    size = -(-len(data) // PIECES)
    place = _begin(service, len(data)).headers["location"]
    for offset in range(0, 6 * size, size):
        _send(service, place, offset, data[offset : offset + size])
    service.kill()
    service.start()
    again = _begin(service, len(data))
    assert again.headers["location"] == place
    safe = int(again.headers["upload-offset"])
    assert safe == 6 * size
    for offset in range(safe, len(data), size):
        _send(service, place, offset, data[offset : offset + size])
    answer = service.http.get(f"{place}/answer").json()
    (row,) = _kept(service)
    assert row["id"] == answer["prediction_id"]
    assert row["image_hash"] == hashlib.sha256(data).hexdigest()
    assert faults(service) == []


def test_killed_with_the_last_piece_safe_the_answer_is_one(service: Service) -> None:
    data = photo(61)
    place = _begin(service, len(data)).headers["location"]
    _send(service, place, 0, data)
    service.kill()
    service.start()
    first, second = (service.http.get(f"{place}/answer").json() for _ in range(2))
    assert first == second
    assert [row["id"] for row in _kept(service)] == [first["prediction_id"]]
