"""Every way to say no, raised through the running application: one form, the documented status, nothing that is not a caller's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from tests.api.conftest import NO_MODEL, Service, Start

from leafloop import errors
from leafloop.api import callers, problems

MEMBERS = {"type", "title", "status", "detail", "code", "instance", "request_id"}


def classes(kind: type[errors.LeafloopError] = errors.LeafloopError) -> Iterator[type[errors.LeafloopError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from classes(child)


EVERY_CLASS = [kind for kind in classes() if kind.__module__ == "leafloop.errors"]
STATUS = {  # what clients may rely on, written down a second time
    "error": 500, "photo_rejected": 422, "empty": 422, "not_an_image": 415, "unsupported_type": 415, "undecodable": 422,
    "too_many_pixels": 413, "too_many_bytes": 413, "too_small": 422, "bad_shape": 422, "bundle_rejected": 409,
    "dataset_rejected": 422, "snapshot_rejected": 409, "review_conflict": 409, "upload_conflict": 409, "still_in_use": 409,
    "label_conflict": 409,
    "training_failed": 500, "taxonomy_invalid": 500, "configuration_invalid": 500, "access_denied": 403,
    "key_missing": 401, "key_invalid": 401,
    "role_too_low": 403, "cross_site_request": 403, "other_login": 403, "request_rejected": 422, "request_invalid": 422,
    "idempotency_conflict": 422, "not_found": 404, "not_editable": 409, "promotion_conflict": 409, "request_timeout": 408,
    "tus_version_unknown": 412,
    "rate_limited": 429,
    "unavailable": 503, "overloaded": 503, "connections_taken": 503, "stopping": 503, "database_unavailable": 503, "database_busy": 503, "schema_unknown": 503,
    "storage_error": 503, "storage_full": 507, "read_only": 503, "blob_missing": 500, "blob_corrupt": 500,
    "model_unavailable": 503,
}  # fmt: skip


@pytest.fixture(scope="module")
def failing(start: Start) -> Service:
    """A service with routes that raise what they are asked to."""

    def prepare(app: FastAPI) -> None:
        @app.get("/fails/{code}", dependencies=[Depends(callers.PUBLIC)])
        def fails(code: str, secret: bool = False) -> None:
            kind = next(k for k in EVERY_CLASS if k.code == code)
            raise kind("at postgresql://leaf:hunter2@db", path="/srv/secret") if secret else kind()

        @app.get("/breaks", dependencies=[Depends(callers.PUBLIC)])
        def breaks() -> None:
            raise ZeroDivisionError("hunter2")

        @app.get("/field", dependencies=[Depends(callers.PUBLIC)])
        def with_a_field() -> None:
            raise errors.RequestInvalid("No.", field="user_id", status=200, code="mine")

    return start(prepare=prepare, bundled=NO_MODEL)


def document(answer: httpx.Response) -> dict[str, Any]:
    """The problem, after checking what every one of them has."""
    found: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(found) >= MEMBERS
    assert found["status"] == answer.status_code
    assert found["type"] == f"/docs#{found['code']}"
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["instance"] == answer.request.url.path
    assert found["detail"].endswith(".")
    return found


def test_the_table_knows_every_class() -> None:
    assert set(problems.STATUS) == set(EVERY_CLASS)
    assert {kind.code: problems.STATUS[kind] for kind in EVERY_CLASS} == STATUS


@pytest.mark.parametrize("kind", EVERY_CLASS, ids=lambda kind: kind.code)
def test_every_class_becomes_its_document(failing: Service, kind: type[errors.LeafloopError]) -> None:
    answer = failing.client.get(f"/fails/{kind.code}")
    found = document(answer)
    assert (answer.status_code, found["code"]) == (STATUS[kind.code], kind.code)
    assert found["detail"] == problems.message(kind)
    assert problems.message(kind).startswith(found["title"])
    wait = kind.retry_after_s
    assert answer.headers.get("retry-after") == (None if wait is None else str(wait))
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


@pytest.mark.parametrize("kind", [k for k in EVERY_CLASS if STATUS[k.code] >= 500], ids=lambda kind: kind.code)
def test_what_is_the_operators_business_is_not_told_to_callers(
    failing: Service, kind: type[errors.LeafloopError]
) -> None:
    told = failing.client.get(f"/fails/{kind.code}?secret=true").text
    if kind.code not in ("error", "overloaded", "stopping", "model_unavailable"):  # their words are written for callers
        assert "hunter2" not in told
        assert "/srv/secret" not in told


def test_what_nobody_foresaw_is_a_500_without_internals(failing: Service) -> None:
    answer = failing.client.get("/breaks")
    found = document(answer)
    assert (answer.status_code, found["code"]) == (500, "internal_error")
    assert not re.search("hunter2|ZeroDivision|Traceback", answer.text)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_error_names_the_field_and_cannot_overwrite_the_document(failing: Service) -> None:
    found = document(failing.client.get("/field"))
    assert (found["field"], found["status"], found["code"]) == ("user_id", 422, "request_invalid")


def test_an_address_that_is_not_there_and_a_method_that_is_not_taken(failing: Service) -> None:
    for path in ("/api/v1/nothing", "/api/v1/predict/", "/%2e%2e/etc/passwd"):
        assert document(failing.client.get(path))["code"] == "not_found"
    answer = failing.client.put("/api/v1/predict")
    assert document(answer)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "POST"
    several = failing.client.request("TRACE", f"/api/v1/db/predictions/{'0' * 36}", headers={"Cookie": "leafloop=x"})
    assert document(several)["code"] == "method_not_allowed"
    assert several.headers["allow"] == "DELETE, GET, PATCH"
    assert "leafloop=x" not in several.text


def test_parameters_that_do_not_fit_are_named_and_not_repeated(failing: Service) -> None:
    answer = failing.client.get("/api/v1/db/predictions?limit=0&offset=hunter2")
    found = document(answer)
    assert (answer.status_code, found["code"]) == (422, "request_invalid")
    assert {e["field"] for e in found["errors"]} == {"limit", "offset"}
    assert "limit" in found["detail"]
    assert "hunter2" not in answer.text


def test_a_json_body_that_is_none_or_too_large_is_refused(service: Service) -> None:
    headers = {**service.key("operator"), "Content-Type": "application/json"}
    answer = service.client.post("/api/v1/mlops/promote", content=b"{broken", headers=headers)
    assert document(answer)["code"] == "request_invalid"
    answer = service.client.post("/api/v1/mlops/promote", content=b'{"version": "' + b"1" * 270_000, headers=headers)
    assert document(answer)["code"] == "too_many_bytes"
    assert "256 KiB" in answer.json()["detail"]


def test_a_browser_at_a_page_gets_words_and_a_program_at_a_call_gets_the_document(failing: Service) -> None:
    page = failing.client.get("/no-such-page", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    call = failing.client.get("/api/v1/nothing", headers={"Accept": "text/html"})
    assert document(call)["code"] == "not_found"
