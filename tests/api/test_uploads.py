"""tus 1.0 as its clients speak it: begin, ask, send, give up, and the answer; every refusal by its name."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any

import httpx
import pytest
from tests.api.conftest import SICK_LEAF, Service
from tests.api.shapes import check

from leafloop.live.uploads import PIECE_BYTES

AT = "/api/v1/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}


def metadata(**said: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())


def begin(service: Service, length: int = len(SICK_LEAF), name: str = "phone", **headers: str) -> httpx.Response:
    own = {"Idempotency-Key": secrets.token_hex(8), "Upload-Length": str(length), **TUS, **headers}
    return service.client.post(AT, headers={**service.key("field", name), **own})


def send(
    service: Service, place: str, offset: int, piece: bytes, name: str = "phone", **headers: str
) -> httpx.Response:
    own = {**PIECE, "Upload-Offset": str(offset), **headers}
    return service.client.patch(place, content=piece, headers={**service.key("field", name), **own})


def ask(service: Service, method: str, place: str, name: str = "phone", **headers: str) -> httpx.Response:
    return service.client.request(method, place, headers={**service.key("field", name), **TUS, **headers})


def code(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["tus-resumable"] == "1.0.0"
    return response.status_code, response.json()["code"]


def test_it_says_what_it_speaks_to_anybody(service: Service) -> None:
    for place in (AT, f"{AT}/{'0' * 36}"):
        said = service.client.options(place)
        assert said.status_code == 204
        assert said.headers["tus-version"] == "1.0.0"
        assert said.headers["tus-extension"] == "creation,termination"
        assert said.headers["tus-max-size"] == str(service.parts.settings.max_upload_bytes)


def test_a_photo_goes_up_in_pieces_and_is_answered(service: Service) -> None:
    said = metadata(filename="leaf ä.jpg", user_id="maria", group="plot 7", consent="true", filetype="image/jpeg")
    made = begin(service, **{"Upload-Metadata": said})
    assert (made.status_code, made.headers["upload-offset"], made.content) == (201, "0", b"")
    place, half = made.headers["location"], len(SICK_LEAF) // 2
    assert send(service, place, 0, SICK_LEAF[:half]).headers["upload-offset"] == str(half)
    looked = ask(service, "HEAD", place)
    assert (looked.status_code, looked.headers["cache-control"]) == (200, "no-store")
    assert looked.headers["upload-offset"] == str(half)
    assert looked.headers["upload-length"] == str(len(SICK_LEAF))
    assert set(looked.headers["upload-metadata"].split(",")) == set(said.split(",")) - {metadata(filetype="image/jpeg")}
    assert code(ask(service, "GET", f"{place}/answer")) == (409, "upload_conflict")
    last = send(service, place, half, SICK_LEAF[half:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, str(len(SICK_LEAF)))
    answer = ask(service, "GET", f"{place}/answer")
    check(service.client, "GET", f"{AT}/{{upload_id}}/answer", answer.json())
    assert answer.json()["user_id"] == "maria"
    stored = ask(service, "GET", f"/api/v1/db/predictions/{answer.json()['prediction_id']}").json()
    assert stored["image_hash"] == hashlib.sha256(SICK_LEAF).hexdigest()
    assert (stored["group"], stored["consent"], stored["source"]) == ("plot 7", True, "api")


def test_the_last_piece_is_answered_though_nobody_asks(service: Service) -> None:
    def total() -> int:
        return int(ask(service, "GET", "/api/v1/db/predictions", "quiet").json()["total"])

    place = begin(service, name="quiet").headers["location"]
    assert total() == 0
    assert send(service, place, 0, SICK_LEAF, "quiet").status_code == 204
    assert total() == 1


def test_begun_twice_with_one_key_it_is_one_upload(service: Service) -> None:
    first = begin(service, **{"Idempotency-Key": "mine"})
    send(service, first.headers["location"], 0, SICK_LEAF[:100])
    again = begin(service, **{"Idempotency-Key": "mine"})
    assert (again.headers["location"], again.headers["upload-offset"]) == (first.headers["location"], "100")
    assert code(begin(service, 77, **{"Idempotency-Key": "mine"})) == (422, "idempotency_conflict")


def test_a_piece_at_another_place_is_a_conflict(service: Service) -> None:
    place = begin(service).headers["location"]
    wrong = send(service, place, 5, b"x")
    assert code(wrong) == (409, "upload_conflict")
    assert wrong.json()["upload_offset"] == 0
    assert send(service, place, 0, b"").headers["upload-offset"] == "0"  # nothing is no piece, and no harm


def test_what_is_too_long_is_refused_before_it_is_read(service: Service) -> None:
    most = service.parts.settings.max_upload_bytes
    assert code(begin(service, most + 1)) == (413, "too_many_bytes")
    place = begin(service, most).headers["location"]
    assert code(send(service, place, 0, bytes(PIECE_BYTES + 1))) == (413, "too_many_bytes")
    assert send(service, place, 0, bytes(PIECE_BYTES)).status_code == 204
    short = begin(service, 10).headers["location"]
    assert code(send(service, short, 0, bytes(11))) == (413, "too_many_bytes")


def test_a_stranger_finds_nothing_and_who_has_no_key_is_not_heard(service: Service) -> None:
    place = begin(service).headers["location"]
    assert ask(service, "HEAD", place, "stranger").status_code == 404
    for method, path in (("DELETE", place), ("GET", f"{place}/answer")):
        assert code(ask(service, method, path, "stranger")) == (404, "not_found")
    assert code(send(service, place, 0, b"x", "stranger")) == (404, "not_found")
    assert service.client.head(place, headers=TUS).status_code == 401
    assert ask(service, "HEAD", place).status_code == 200


def test_an_upload_can_be_given_up(service: Service) -> None:
    place = begin(service).headers["location"]
    assert ask(service, "DELETE", place).status_code == 204
    assert code(ask(service, "DELETE", place)) == (404, "not_found")


def test_a_photo_that_is_none_is_refused_for_good(service: Service) -> None:
    place = begin(service, 5).headers["location"]
    assert send(service, place, 0, b"Dear ").status_code == 204  # the piece is safe; what it makes is another question
    for _ in range(2):
        assert code(ask(service, "GET", f"{place}/answer")) == (415, "not_an_image")


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Upload-Length": "-1"}, "Upload-Length"),
        ({"Upload-Length": "9" * 16}, "Upload-Length"),
        ({"Upload-Length": ""}, "Upload-Length"),
        ({"Upload-Metadata": "group !!!"}, "Base64"),
        ({"Upload-Metadata": "group /w=="}, "UTF-8"),
        ({"Upload-Metadata": metadata(group="a") + "," + metadata(group="b")}, "twice"),
        ({"Upload-Metadata": metadata(consent="perhaps")}, "consent"),
        ({"Upload-Metadata": metadata(captured_at="yesterday")}, "captured_at"),
        ({"Upload-Metadata": metadata(user_id="x" * 201)}, "user_id"),
    ],
)
def test_words_that_do_not_fit_are_refused_at_the_beginning(
    service: Service, headers: dict[str, str], says: str
) -> None:
    refused = begin(service, **headers)
    assert code(refused) == (422, "request_invalid")
    assert says in refused.json()["detail"]


def test_it_needs_a_key_of_its_own(service: Service) -> None:
    refused = service.client.post(AT, headers={**service.key("field"), **TUS, "Upload-Length": "5"})
    assert code(refused) == (422, "request_invalid")
    assert "Idempotency-Key" in refused.json()["detail"]


def test_another_version_or_another_type_is_refused(service: Service) -> None:
    other: dict[str, Any] = {"Tus-Resumable": "0.2.2"}
    refused = begin(service, **other)
    assert code(refused) == (412, "tus_version_unknown")
    assert refused.headers["tus-version"] == "1.0.0"
    place = begin(service).headers["location"]
    assert code(send(service, place, 0, b"x", **{"Content-Type": "image/jpeg"})) == (415, "unsupported_type")


def test_pieces_do_not_count_as_photos(start: Any) -> None:
    limited = start(LEAFLOOP_PREDICT_RATE_LIMIT="2/minute")
    place = begin(limited).headers["location"]
    for offset in range(0, 500, 100):
        assert send(limited, place, offset, SICK_LEAF[offset : offset + 100]).status_code == 204
    begin(limited)
    assert code(begin(limited)) == (429, "rate_limited")
