"""The review pages as HTTP sees them: who may, what a program gets, tables, and what works for everybody."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import expect
from tests.web.conftest import DESKTOP, PHONE, Site, Visit
from tests.web.test_for_everybody import axe, faults_by, small_or_cut  # noqa: F401 - axe is a fixture
from tests.web.waiting import HTML, JSON, item_of, labels, logged_in, looking, photos_wait, reviewing, reviews

PAGES = ("/review", "/review/agreement", "/review/doubtful")
CALLS = ("/review/next.json", "/review/queue.json")


def decide(client: httpx.Client, case: dict[str, Any], **said: Any) -> httpx.Response:
    body = {"version": case["version"], "decision": "accept", **said}
    return client.post(f"/review/items/{case['item_id']}/decision", json=body)


# Who may


def test_reviewers_may_and_field_people_may_not(review_site: Site) -> None:
    with logged_in(review_site, "reviewer") as reviewer, logged_in(review_site, "field") as field:
        for path in PAGES:
            assert reviewer.get(path, headers=HTML).status_code == 200
            assert field.get(path, headers=HTML).status_code == 403
        for path in CALLS:
            assert reviewer.get(path).status_code in (200, 204)
            assert field.get(path).json()["code"] == "role_too_low"
        assert 'href="/review"' in reviewer.get("/", headers=HTML).text
        assert 'href="/review"' not in field.get("/", headers=HTML).text


def test_without_a_login_a_page_leads_to_it_and_a_call_says_so(review_site: Site) -> None:
    page = httpx.get(f"{review_site.address}/review", headers=HTML)
    assert (page.status_code, page.headers["location"]) == (303, "/login?following=/review")
    call = httpx.get(f"{review_site.address}/review/next.json", headers=HTML)  # whatever it accepts, it is data
    assert (call.status_code, call.headers["content-type"]) == (401, "application/problem+json")


def test_the_open_service_can_be_tried_out(site: Site) -> None:
    for path in PAGES:
        assert httpx.get(site.address + path, headers=HTML).status_code == 200
    assert httpx.get(f"{site.address}/review/next.json", headers=JSON).status_code in (200, 204)


def test_another_sites_page_decides_nothing(review_site: Site) -> None:
    (one,) = photos_wait(review_site, 1)
    with logged_in(review_site) as ines:
        case = ines.get("/review/next.json").json()
        item = f"/review/items/{case['item_id']}"
        said = {"version": case["version"], "decision": "accept"}
        for path, body in ((f"{item}/decision", said), (f"{item}/release", {}), ("/review/undo", {})):
            refused = ines.post(path, json=body, headers={**JSON, "sec-fetch-site": "cross-site"})
            assert (refused.status_code, refused.json()["code"]) == (403, "cross_site_request")
    assert reviews(review_site, one) == []


# What the calls say


def test_a_decision_sent_twice_is_one_and_somebody_elses_is_a_conflict(review_site: Site) -> None:
    (one,) = photos_wait(review_site, 1)
    with logged_in(review_site, label="Ines") as ines, logged_in(review_site, label="Tomas") as tomas:
        case = ines.get("/review/next.json").json()
        assert tomas.get("/review/next.json").status_code == 204
        assert [decide(ines, case).status_code for _ in range(2)] == [200, 200]
        late = decide(tomas, case)
    assert (late.status_code, late.json()["code"]) == (409, "review_conflict")
    assert [review.reviewer for review in reviews(review_site, one)] == ["Ines"]


def test_the_next_but_one_is_had_by_naming_what_is_in_hand(review_site: Site) -> None:
    waiting = photos_wait(review_site, 2)
    with logged_in(review_site) as ines:
        first = ines.get("/review/next.json").json()
        second = ines.get("/review/next.json", params={"skip": first["item_id"]}).json()
        assert [first["prediction"]["id"], second["prediction"]["id"]] == waiting
        both = f"{first['item_id']},{second['item_id']}"
        assert ines.get("/review/next.json", params={"skip": both}).status_code == 204
        again = ines.get("/review/next.json", params={"item": second["item_id"]}).json()
        assert again["item_id"] == second["item_id"]


def test_what_was_given_back_is_anybodys(review_site: Site) -> None:
    photos_wait(review_site, 1)
    with logged_in(review_site) as ines, logged_in(review_site) as tomas:
        case = ines.get("/review/next.json").json()
        assert ines.post(f"/review/items/{case['item_id']}/release").status_code == 204
        assert tomas.get("/review/next.json").json()["item_id"] == case["item_id"]


NONSENSE: tuple[dict[str, Any], ...] = (
    {"decision": "maybe"},
    {"decision": "correct"},
    {"decision": "correct", "class_name": "nonesuch"},
    {"decision": "correct", "outcome": "diseased", "boxes": [{"class_id": 1}]},
    {"decision": "accept", "seconds": -1},
    {"decision": "accept", "comment": "a\x00b"},
    {"version": "x"},
)


def test_a_decision_that_makes_no_sense_is_refused_in_words(review_site: Site) -> None:
    (one,) = photos_wait(review_site, 1)
    with logged_in(review_site) as ines:
        case = ines.get("/review/next.json").json()
        for said in NONSENSE:
            refused = decide(ines, case, **said)
            assert refused.status_code == 422, said
            assert refused.json()["detail"]
    assert item_of(review_site, one).state == "open"


def test_a_case_or_a_label_that_is_none_is_not_found(review_site: Site) -> None:
    with logged_in(review_site) as ines:
        for name in ("nothing", str(uuid4()), "..%2f..", "%00"):
            assert ines.post(f"/review/items/{name}/release").status_code == 404
            assert ines.get(f"/review/labels/{name}/photo").status_code == 404


def test_a_labels_photo_comes_small(review_site: Site) -> None:
    (one,) = photos_wait(review_site, 1)
    with logged_in(review_site) as ines, logged_in(review_site, "field") as field:
        decide(ines, ines.get("/review/next.json").json())
        path = f"/review/labels/{labels(review_site)[one].id}/photo"
        assert (ines.get(path).headers["content-type"], field.get(path).status_code) == ("image/jpeg", 403)
        assert len(ines.get(path).content) < 30_000


def test_agreement_is_a_table_of_reviewers(review_site: Site) -> None:
    photos_wait(review_site, 1)
    with logged_in(review_site, label="Ines") as ines, logged_in(review_site, label="Tomas") as tomas:
        decide(ines, ines.get("/review/next.json").json(), ask_second=True)
        case = tomas.get("/review/next.json").json()
        assert (case["blind"], case["opinions"]) == (True, [])
        decide(tomas, case)
        page = tomas.get("/review/agreement", headers=HTML).text
    assert "Cohen's kappa" in page.replace("&#39;", "'")
    assert ">Ines</th>" in page


# For everybody


def test_without_javascript_the_page_says_that_it_needs_it(site: Site, visit: Visit) -> None:
    page = visit(f"{site.address}/review", **DESKTOP, java_script_enabled=False)
    expect(page.get_by_text("This page needs JavaScript")).to_be_visible()
    expect(page.locator("#send")).to_be_hidden()


def test_axe_finds_nothing_on_a_phone(review_site: Site, visit: Visit, axe: str) -> None:  # noqa: F811
    photos_wait(review_site, 1, code="asked")
    page = reviewing(review_site, visit, **PHONE)
    looking(page)
    found = {"looking": faults_by(axe, page)}
    page.keyboard.press("s")
    expect(page.locator("#nothing")).to_be_visible()
    found["empty"] = faults_by(axe, page)
    assert {where: faults for where, faults in found.items() if faults} == {}


def test_axe_finds_nothing_in_the_dark(review_site: Site, visit: Visit, axe: str) -> None:  # noqa: F811
    photos_wait(review_site, 1)
    page = reviewing(review_site, visit, **DESKTOP, color_scheme="dark")
    looking(page)
    page.keyboard.press("Tab")
    page.locator("#slider").fill("99")
    found = {"changed": faults_by(axe, page)}
    page.locator("[data-act=help]").click()
    found["help"] = faults_by(axe, page)
    for path in PAGES[1:]:
        page.goto(review_site.address + path)
        found[path] = faults_by(axe, page)
    assert {where: faults for where, faults in found.items() if faults} == {}


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_cut_off_and_what_is_tapped_is_large(review_site: Site, visit: Visit, width: int) -> None:
    photos_wait(review_site, 1)
    page = reviewing(review_site, visit, viewport={"width": width, "height": 800}, has_touch=True)
    looking(page)
    small = [
        one for one in small_or_cut(page) if not one.endswith(": 44")
    ]  # 44: WCAG 2.5.5; the panel has much to show
    assert small == []
