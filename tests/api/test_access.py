"""Who may call what: every route says so, and every role gets exactly that."""

from __future__ import annotations

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from tests.api.conftest import NO_MODEL, SICK_LEAF, Service, Start

from leafloop import access
from leafloop.api import callers

# Every call of the API and the least role that it takes; `public` needs no key.
CALLS = {
    ("GET", "/"): "public",
    ("GET", "/health"): "public",
    ("HEAD", "/health"): "public",
    ("GET", "/ready"): "public",
    ("GET", "/model/info"): "public",
    ("GET", "/docs"): "public",
    ("GET", "/docs/style.css"): "public",
    ("GET", "/openapi.json"): "public",
    ("GET", "/metrics"): "field",
    ("POST", "/api/v1/predict"): "field",
    ("POST", "/api/v1/predict/classify"): "field",
    ("POST", "/api/v1/predict/classify/debug"): "debug",
    ("GET", "/api/v1/db/predictions"): "field",
    ("GET", "/api/v1/db/predictions/{prediction_id}"): "field",
    ("GET", "/api/v1/db/predictions/{prediction_id}/photo"): "field",
    ("PATCH", "/api/v1/db/predictions/{prediction_id}"): "field",
    ("DELETE", "/api/v1/db/predictions/{prediction_id}"): "field",
    ("OPTIONS", "/api/v1/uploads"): "public",
    ("OPTIONS", "/api/v1/uploads/{upload_id}"): "public",
    ("POST", "/api/v1/uploads"): "field",
    ("HEAD", "/api/v1/uploads/{upload_id}"): "field",
    ("PATCH", "/api/v1/uploads/{upload_id}"): "field",
    ("DELETE", "/api/v1/uploads/{upload_id}"): "field",
    ("GET", "/api/v1/uploads/{upload_id}/answer"): "field",
    ("POST", "/api/v1/feedback/submit"): "field",
    ("POST", "/api/v1/feedback/undo"): "field",
    ("GET", "/api/v1/feedback/stats"): "review",
    ("GET", "/api/v1/db/feedback"): "field",
    ("GET", "/api/v1/db/feedback/{feedback_id}"): "field",
    ("PATCH", "/api/v1/db/feedback/{feedback_id}"): "field",
    ("DELETE", "/api/v1/db/feedback/{feedback_id}"): "field",
    ("GET", "/api/v1/review/next"): "review",
    ("GET", "/api/v1/review/queue"): "review",
    ("GET", "/api/v1/review/agreement"): "review",
    ("GET", "/api/v1/review/doubtful"): "review",
    ("GET", "/api/v1/review/items/{item_id}"): "review",
    ("POST", "/api/v1/review/items/{item_id}/decision"): "review",
    ("POST", "/api/v1/review/items/{item_id}/release"): "review",
    ("POST", "/api/v1/review/undo"): "review",
    ("GET", "/api/v1/db/training-data"): "review",
    ("GET", "/api/v1/db/training-data/{label_id}"): "review",
    ("GET", "/api/v1/db/training-data/{label_id}/photo"): "review",
    ("PATCH", "/api/v1/db/training-data/{label_id}"): "review",
    ("DELETE", "/api/v1/db/training-data/{label_id}"): "review",
    ("GET", "/api/v1/mlops/champion"): "field",
    ("GET", "/api/v1/mlops/status"): "field",
    ("GET", "/api/v1/mlops/metrics"): "field",
    ("GET", "/api/v1/mlops/models"): "engineer",
    ("GET", "/api/v1/mlops/snapshots"): "engineer",
    ("GET", "/api/v1/mlops/snapshots/{hash}"): "engineer",
    ("POST", "/api/v1/mlops/promote"): "operator",
    ("POST", "/api/v1/mlops/rollback"): "operator",
}
# An answer to HEAD has no body that could say why: tests/api/test_uploads.py.
GUARDED = [(method, path, needs) for (method, path), needs in CALLS.items() if needs != "public" and method != "HEAD"]


def ask(service: Service, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    names = ("prediction_id", "upload_id", "feedback_id", "item_id", "label_id")
    ids = dict.fromkeys(names, "0" * 36) | {"hash": "0" * 64}
    return service.client.request(method, path.format(**ids), headers=headers)


def test_every_route_declares_who_may_call_it(service: Service) -> None:
    declared: dict[tuple[str, str], str | None] = {}
    for route in callers.routes_of(service.app.routes):
        for method in route.methods:  # type: ignore[attr-defined]
            declared.setdefault((method, route.path), callers.declared(route))  # type: ignore[attr-defined]
    assert None not in declared.values()
    assert {call: needs for call, needs in declared.items() if call in CALLS} == CALLS
    assert all(not path.startswith("/api/") for method, path in declared if (method, path) not in CALLS)


def test_a_route_that_does_not_declare_it_stops_the_start() -> None:
    app, router = FastAPI(openapi_url=None), APIRouter()

    @router.get("/forgotten")
    def forgotten() -> None: ...

    app.include_router(router)
    with pytest.raises(RuntimeError, match="/forgotten"):
        callers.refuse_undeclared(app.routes)


@pytest.mark.parametrize(("method", "path", "needs"), GUARDED)
def test_a_call_needs_a_key_of_its_role(service: Service, method: str, path: str, needs: str) -> None:
    missing = ask(service, method, path, {})
    assert (missing.status_code, missing.json()["code"]) == (401, "key_missing")
    assert missing.headers["www-authenticate"] == 'Bearer realm="leafloop"'
    unknown = ask(service, method, path, {"Authorization": "Bearer lf_abcdefgh_" + "x" * 43})
    assert (unknown.status_code, unknown.json()["code"]) == (401, "key_invalid")
    least = access.ROLES.index(access.OPEN_TOO.get(needs, needs))
    for rank, role in enumerate(access.ROLES):
        answer = ask(service, method, path, service.key(role))
        if rank < least:
            assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low")
        else:
            assert answer.status_code not in (401, 403)


@pytest.mark.parametrize("header", ["", "Bearer", "Basic bWFyaWE6cGFzcw==", "Bearer lf_x_y", "Bearer " + "a" * 7000])
def test_an_authorization_header_of_another_form_is_no_key(service: Service, header: str) -> None:
    answer = service.client.get("/api/v1/db/predictions", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_invalid")


def test_a_revoked_key_is_refused_at_the_next_request(service: Service) -> None:
    headers = service.key("field", "lost phone")
    assert service.client.get("/api/v1/db/predictions", headers=headers).status_code == 200
    with service.parts.ledger.transaction() as session:
        access.revoke_key(session, service.ids["lost phone"], actor="test")
    assert service.client.get("/api/v1/db/predictions", headers=headers).json()["code"] == "key_invalid"


def test_a_login_means_nothing_to_the_api(service: Service) -> None:
    key = service.key("operator")["Authorization"].removeprefix("Bearer ")
    _, cookie = access.log_in(service.parts, key)
    cookies = {"Cookie": f"{access.cookie_name(service.parts.settings)}={cookie}"}
    assert service.client.get("/api/v1/db/predictions", headers=cookies).json()["code"] == "key_missing"


def test_before_the_first_key_the_service_takes_photos_and_debug_calls_and_no_more(open_service: Service) -> None:
    assert open_service.predict().status_code == 200
    debug = open_service.client.post("/api/v1/predict/classify/debug", files={"file": SICK_LEAF})
    assert debug.status_code == 200
    assert open_service.client.get("/metrics").status_code == 200
    for method, path in (("GET", "/api/v1/mlops/models"), ("POST", "/api/v1/mlops/rollback")):
        answer = open_service.client.request(method, path, json={"version": "1"} if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")


def test_another_sites_page_cannot_use_an_open_service(open_service: Service) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = open_service.predict(headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")


def test_a_name_that_was_made_to_point_here_is_not_answered(open_service: Service) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost@evil.example", "[::2]"):
        answer = open_service.client.get("/health", headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "host_not_allowed")
    for host in ("localhost:8000", "LOCALHOST", "127.0.0.1", "[::1]:8000"):
        assert open_service.client.get("/health", headers={"Host": host}).status_code == 200


def test_the_public_address_and_a_list_of_names_are_answered(start: Start) -> None:
    public = start(bundled=NO_MODEL, LEAFLOOP_PUBLIC_URL="https://leaf.example/")
    assert public.client.get("/health", headers={"Host": "leaf.example"}).status_code == 200
    listed = start(bundled=NO_MODEL, LEAFLOOP_ALLOWED_HOSTS="a.example, b.example")
    assert listed.client.get("/health", headers={"Host": "b.example"}).status_code == 200
    assert listed.client.get("/health").status_code == 421


def test_a_foreign_origin_may_call_only_when_the_setting_names_it(start: Start, service: Service) -> None:
    origin = {"Origin": "https://fields.example"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert "access-control-allow-origin" not in service.client.get("/health", headers=origin).headers
    named = start(bundled=NO_MODEL, LEAFLOOP_CORS_ORIGINS="https://fields.example")
    before = named.client.options("/api/v1/predict", headers=asked)
    assert before.headers["access-control-allow-origin"] == "https://fields.example"
    assert "authorization" in before.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in before.headers
    other = named.client.options("/api/v1/predict", headers={**asked, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    refused = named.predict(headers={**origin, **named.key("field")}, data=b"no photo")
    assert refused.status_code == 415
    assert refused.headers["access-control-allow-origin"] == "https://fields.example"


def test_too_many_requests_with_one_key_are_told_when_to_come_again(start: Start) -> None:
    limited = start(LEAFLOOP_RATE_LIMIT="3/minute", LEAFLOOP_PREDICT_RATE_LIMIT="1/minute")
    eager, patient = limited.key("field", "eager"), limited.key("field", "patient")
    answers = [limited.client.get("/api/v1/db/predictions", headers=eager) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert limited.predict(headers=eager).status_code == 200  # photos have a limit of their own
    assert limited.predict(headers=eager).status_code == 429
    assert limited.predict(headers=patient).status_code == 200
    assert limited.client.get("/health").status_code == 200


def test_guessing_keys_is_slowed_by_address_and_does_not_lock_others_out(start: Start) -> None:
    limited = start(bundled=NO_MODEL, LEAFLOOP_RATE_LIMIT="3/minute")
    right = limited.key("field")
    wrong = {"Authorization": "Bearer lf_abcdefgh_" + "x" * 43}
    seen = [limited.client.get("/api/v1/db/predictions", headers=wrong).status_code for _ in range(5)]
    assert seen == [401, 401, 401, 429, 429]
    assert limited.client.get("/api/v1/db/predictions", headers=right).status_code == 200
