"""What stands at every door, whatever is asked and however it ends: headers, host names, addresses, and whose things are whose."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from tests.api.conftest import NO_MODEL, SICK_LEAF, Service, Start
from tests.api.serving import raw
from tests.api.test_access import CALLS

from leafloop import access
from leafloop.api import callers

HTML = {"Accept": "text/html,*/*;q=0.1"}
# Every page and the least role that it takes, as CALLS has it for the API. `/` is in both: by what its reader accepts.
PAGES = {
    ("GET", "/"): "field",
    ("GET", "/login"): "public",
    ("POST", "/login"): "public",
    ("POST", "/logout"): "field",
    ("POST", "/photos"): "field",
    ("GET", "/answers"): "field",
    ("GET", "/answers/{prediction_id}"): "field",
    ("GET", "/answers/{prediction_id}/photo"): "field",
    ("POST", "/answers/{prediction_id}/words"): "field",
    ("POST", "/answers/{prediction_id}/words/undo"): "field",
    ("POST", "/answers/{prediction_id}/consent"): "field",
    ("GET", "/review"): "review",
    ("GET", "/review/agreement"): "review",
    ("GET", "/review/doubtful"): "review",
    ("GET", "/review/labels/{label_id}/photo"): "review",
    ("GET", "/review/next.json"): "review",
    ("GET", "/review/queue.json"): "review",
    ("POST", "/review/items/{item_id}/decision"): "review",
    ("POST", "/review/items/{item_id}/release"): "review",
    ("POST", "/review/undo"): "review",
    ("POST", "/uploads"): "field",
    ("POST", "/answers/{prediction_id}/delete"): "field",
    ("POST", "/review/labels/{label_id}"): "review",
    ("HEAD", "/uploads/{upload_id}"): "field",
    ("PATCH", "/uploads/{upload_id}"): "field",
    ("DELETE", "/uploads/{upload_id}"): "field",
    ("GET", "/uploads/{upload_id}/answer"): "field",
    ("GET", "/manifest.webmanifest"): "public",
    ("GET", "/sw.js"): "public",
    ("GET", "/offline"): "public",
    ("GET", "/static/{version}/{name}"): "public",
}
WITH_A_FORM = {call for call in PAGES if call[0] == "POST" and "{prediction_id}" in call[1]}
IDS = dict.fromkeys(("prediction_id", "item_id", "label_id", "upload_id", "feedback_id"), "0" * 36) | {"hash": "0" * 64}
ABOUT_ONE = [call for call in (*CALLS, *PAGES) if "{prediction_id}" in call[1]]
# The same for everybody, so a browser may keep them.
TO_KEEP = {"/docs/style.css", "/static/{version}/{name}", "/sw.js", "/manifest.webmanifest", "/offline"}


def test_every_route_has_a_row_here_or_among_the_calls(service: Service) -> None:
    there = {(method, route.path) for route in callers.routes_of(service.app.routes) for method in route.methods}  # type: ignore[attr-defined]
    assert there == {*CALLS, *PAGES}


# Whose things are whose


def cookie_of(service: Service, role: str, name: str) -> dict[str, str]:
    """A page's login with a key, as a browser sends it from the page itself."""
    key = service.key(role, name)["Authorization"].removeprefix("Bearer ")
    _, cookie = access.log_in(service.parts, key)
    return {"Cookie": f"{access.cookie_name(service.parts.settings)}={cookie}", "Sec-Fetch-Site": "same-origin"}


def as_caller(service: Service, call: tuple[str, str], role: str, name: str) -> dict[str, str]:
    return cookie_of(service, role, name) if call in PAGES else service.key(role, name)


def ask(service: Service, call: tuple[str, str], one: str, headers: dict[str, str]) -> httpx.Response:
    method, path = call
    body: dict[str, Any] = {"json": {"user_location": "Davao"}} if method == "PATCH" else {}
    if call in WITH_A_FORM:
        body = {"data": {"said": "right", "consent": "true"}}
    return service.client.request(method, path.format(**IDS | {"prediction_id": one}), headers=headers, **body)


@pytest.mark.parametrize("call", ABOUT_ONE, ids=" ".join)
def test_what_belongs_to_a_stranger_is_as_absent_as_what_never_was(service: Service, call: tuple[str, str]) -> None:
    """Amina's answer: Bashir, who has a key of the same role, learns nothing of it, not even that it is there."""
    one = service.predict(headers=service.key("field", "amina")).json()["prediction_id"]
    stranger = as_caller(service, call, "field", "bashir")
    his, nobodys = ask(service, call, one, stranger), ask(service, call, "0" * 36, stranger)
    assert (his.status_code, nobodys.status_code) == (404, 404)
    without_ids = [re.sub(r"[0-9a-f-]{32,36}", "ID", answer.text) for answer in (his, nobodys)]
    assert without_ids[0] == without_ids[1]
    if call in WITH_A_FORM:
        return
    for role, name in (
        ("reviewer", "reviewer"),
        ("engineer", "engineer"),
        ("operator", "operator"),
        ("field", "amina"),
    ):
        another = service.predict(headers=service.key("field", "amina")).json()["prediction_id"]
        assert ask(service, call, another, as_caller(service, call, role, name)).status_code == 200, role


@pytest.mark.parametrize("call", [call for call, needs in PAGES.items() if needs != "public"], ids=" ".join)
def test_a_page_takes_a_login_and_no_key(service: Service, call: tuple[str, str]) -> None:
    for headers in ({}, service.key("operator"), {"Cookie": "leafloop=made-up"}):
        answer = ask(service, call, "0" * 36, {**headers, **HTML, "Sec-Fetch-Site": "same-origin"})
        to_login = (401, "") if call[1].endswith(".json") else (303, "/login")  # a script wants no page
        assert (answer.status_code, answer.headers.get("location", "").split("?")[0]) == to_login


# Headers


@pytest.fixture(scope="module")
def https(start: Start) -> Service:
    """A service that people reach by https, with a route that breaks."""

    def prepare(app: FastAPI) -> None:
        @app.get("/breaks", dependencies=[Depends(callers.PUBLIC)])
        def breaks() -> None:
            raise ZeroDivisionError

    return start(
        prepare=prepare, LEAFLOOP_PUBLIC_URL="https://leaf.example", LEAFLOOP_CORS_ORIGINS="https://app.example"
    )


def check_headers(answer: httpx.Response, *, kept: bool = False) -> None:
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["x-request-id"]
    assert "server" not in headers
    if not kept:
        assert headers["cache-control"] in ("no-store", "private, max-age=3600")


def test_every_route_answers_every_method_with_the_headers(https: Service) -> None:
    one = https.predict().json()["prediction_id"]
    for method, path in {*CALLS, *PAGES}:
        for tried in (method, "PUT", "TRACE", "OPTIONS"):
            where = path.format(**IDS | {"prediction_id": one, "version": "x", "name": "page.css"})
            for accept in ({}, HTML):
                answer = https.client.request(tried, where, headers=accept)
                assert answer.status_code < 500
                check_headers(answer, kept=path in TO_KEEP)


def test_every_kind_of_answer_has_the_headers(https: Service) -> None:
    ask_for = https.client.request
    large = {"content": b"x" * 300_000, "headers": {"Content-Type": "application/json"}}
    before = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    one = https.predict().json()["prediction_id"]
    photo = f"/api/v1/db/predictions/{one}/photo"
    etag = ask_for("GET", photo).headers["etag"]
    answers = {
        200: ask_for("GET", "/health"),
        303: ask_for("GET", "/login"),
        304: ask_for("GET", photo, headers={"If-None-Match": etag}),
        401: ask_for("GET", "/api/v1/mlops/models"),
        403: ask_for("POST", "/photos", headers={"Sec-Fetch-Site": "cross-site"}),
        404: ask_for("GET", "/nowhere"),
        405: ask_for("TRACE", "/health"),
        413: ask_for("POST", "/api/v1/mlops/promote", **large),
        415: ask_for("POST", "/api/v1/predict", **large),
        421: ask_for("GET", "/health", headers={"Host": "evil.example"}),
        422: ask_for("GET", "/api/v1/db/predictions?limit=x"),
        500: ask_for("GET", "/breaks"),
    }
    assert {status: answer.status_code for status, answer in answers.items()} == {status: status for status in answers}
    for answer in (
        *answers.values(),
        ask_for("OPTIONS", "/api/v1/predict", headers=before),
        ask_for("GET", "/breaks", headers=HTML),
    ):
        check_headers(answer, kept="access-control-max-age" in answer.headers)


def test_where_people_come_by_http_no_browser_is_told_to_come_by_https(service: Service) -> None:
    assert "strict-transport-security" not in service.client.get("/health").headers


def test_a_photo_is_a_picture_by_its_bytes_whatever_it_was_called(https: Service) -> None:
    for name in ("x.html", 'x.html"\r\nContent-Type: text/html', "gpj.\u202elmth", "x.svg"):
        sent = https.client.post("/api/v1/predict", files={"file": (name, SICK_LEAF, "text/html")})
        one = sent.json()["prediction_id"]
        for place in (
            f"/api/v1/db/predictions/{one}/photo",
            f"/answers/{one}/photo",
            f"/answers/{one}/photo?size=thumb",
        ):
            served = https.client.get(place, headers=HTML)
            check_headers(served)
            assert served.headers["content-type"] == "image/jpeg"
            assert served.headers["content-disposition"] == f'inline; filename="{one}.jpg"'
            assert served.content.startswith(b"\xff\xd8\xff")


# Names and addresses

ODD_HOSTS = [
    b"", b"a/b", b"127.0.0.1/evil", b"127.0.0.1?x", b"127.0.0.1#x", b"evil@127.0.0.1", b"127.0.0.1@evil", b"127.0.0.1:80:90",
    b"127.0.0.1:x", b"127.1", b"0x7f.1", b"2130706433", b"[::1", b"[::ffff:127.0.0.1]", b"localhost, evil", b"localhost%00",
    "l\u043ecalhost".encode(), b"localhost\\evil", b"*",
]  # fmt: skip


@pytest.mark.parametrize("host", ODD_HOSTS, ids=repr)
def test_an_odd_host_is_answered_nowhere_not_even_where_every_name_is(
    start: Start, service: Service, host: bytes
) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    assert raw(str(service.client.base_url).rstrip("/"), request).startswith((b"HTTP/1.1 421 ", b"HTTP/1.1 400 "))


def test_where_every_name_is_answered_one_that_is_none_is_not(start: Start) -> None:
    anywhere = start(bundled=NO_MODEL, LEAFLOOP_ALLOWED_HOSTS="*")
    address = str(anywhere.client.base_url).rstrip("/")
    for host, status in ((b"farm.example", b"200"), (b"farm.example/api/", b"421"), (b"a b", b"421")):
        request = b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        assert raw(address, request).split()[1] in (status, b"400" if status == b"421" else status)
    assert raw(address, b"GET /health HTTP/1.0\r\n\r\n").split()[1] == b"200"


def test_two_hosts_or_none_are_refused(service: Service) -> None:
    address = str(service.client.base_url).rstrip("/")
    for hosts in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        answer = raw(address, b"GET /health HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
        assert answer.split()[1] == b"400"


def test_who_is_no_proxy_of_ours_cannot_say_where_it_comes_from(start: Start) -> None:
    """127.0.0.2 is another machine to the service; 127.0.0.1 may be a proxy, and is believed."""
    limited = start(bundled=NO_MODEL, LEAFLOOP_RATE_LIMIT="3/minute")
    limited.key("field")
    wrong = {"Authorization": "Bearer lf_abcdefgh_" + "x" * 43}
    far = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=limited.client.base_url, transport=far) as stranger:
        seen = [
            stranger.get("/api/v1/db/predictions", headers={**wrong, "X-Forwarded-For": f"10.0.0.{n}"}).status_code
            for n in range(5)
        ]
    assert seen == [401, 401, 401, 429, 429]
