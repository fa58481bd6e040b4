"""Amina logs in with her key, by paste or by QR code, and out again; a stranger reads nothing of hers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.web.conftest import Site, Visit

from leafloop.storage import predictions

HTML = {"accept": "text/html"}


def log_in(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Log in").click()


def at(page: Page, path: str) -> None:
    expect(page).to_have_url(re.compile(rf"^http://127\.0\.0\.1:\d+{re.escape(path)}$"))


def test_who_is_not_logged_in_is_led_to_the_login_and_back(keyed_site: Site, visit: Visit) -> None:
    page = visit(f"{keyed_site.address}/answers")
    at(page, "/login?following=/answers")
    log_in(page, keyed_site.key()[1])
    at(page, "/answers")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your answers")


def test_the_next_person_on_the_phone_is_asked_anew_and_has_a_name_of_their_own(
    keyed_site: Site, visit: Visit, ill_photo: Path
) -> None:
    page = visit(f"{keyed_site.address}/login#{keyed_site.key()[1]}")
    at(page, "/")
    page.get_by_text("About this photo (optional)").click()
    page.get_by_label("Your name or number").fill("maria")
    page.set_input_files("#choose", ill_photo)
    page.get_by_role("button", name="Send this photo").click()
    page.get_by_label("The same for my next photos, on this phone").check()
    page.locator("[data-consent]").get_by_role("button", name="Yes").click()
    expect(page.locator("[data-consent-state]")).to_have_attribute("data-consent-state", "true")
    assert keyed_site.newest().user_id == "maria"
    page.goto(keyed_site.address)
    expect(page.locator("[data-consent-field]")).to_have_value("true")  # she is remembered
    page.get_by_role("button", name="Log out").click()
    at(page, "/login")
    assert page.evaluate("Object.keys(localStorage)") == []
    log_in(page, keyed_site.key()[1])
    at(page, "/")
    expect(page.locator("[data-consent-field]")).to_have_value("")
    before = keyed_site.rows()
    page.set_input_files("#choose", ill_photo)
    page.get_by_role("button", name="Send this photo").click()
    expect(page.locator("[data-answer]")).to_be_visible()
    assert keyed_site.rows() == before + 1
    with keyed_site.parts.ledger.reading() as session:
        newest = keyed_site.newest()
        assert (newest.user_id, predictions.photo_of(session, newest).consent) == (None, None)


def test_a_page_that_was_opened_under_another_login_sends_nothing_as_the_new_one(
    keyed_site: Site, visit: Visit, ill_photo: Path
) -> None:
    page = visit(f"{keyed_site.address}/login#{keyed_site.key()[1]}")
    at(page, "/")
    other = page.context.new_page()
    other.goto(f"{keyed_site.address}/login")
    log_in(other, keyed_site.key()[1])
    at(other, "/")
    before = keyed_site.rows()
    page.set_input_files("#choose", ill_photo)
    page.get_by_role("button", name="Send this photo").click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody else has logged in here")
    assert keyed_site.rows() == before


def test_the_cookie_cannot_be_read_by_scripts_nor_sent_from_other_sites(keyed_site: Site, visit: Visit) -> None:
    page = visit(f"{keyed_site.address}/login")
    key = keyed_site.key()[1]
    log_in(page, key)
    at(page, "/")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    assert key.split("_")[2] not in cookie["value"]
    assert page.evaluate("document.cookie") == ""


def test_a_wrong_key_is_explained(keyed_site: Site, visit: Visit) -> None:
    page = visit(f"{keyed_site.address}/login")
    log_in(page, "lf_aaaaaaaa_" + "b" * 43)
    expect(page.get_by_role("alert")).to_contain_text("This key does not open anything here")
    expect(page.get_by_label("Key", exact=True)).to_have_value("")
    assert page.context.cookies() == []


def test_a_qr_code_logs_in_and_leaves_no_trace_of_the_key(keyed_site: Site, visit: Visit) -> None:
    seen: list[str] = []
    page = visit("about:blank")
    page.on("request", lambda request: seen.append(request.url))
    key = keyed_site.key()[1]
    page.goto(f"{keyed_site.address}/login#{key}")
    at(page, "/")
    expect(page.get_by_text("Check a leaf").first).to_be_visible()
    assert not [url for url in seen if "lf_" in url.split("#")[0]]  # no server, proxy or log ever saw it
    page.go_back()
    assert "lf_" not in page.url


def test_a_link_with_a_key_does_not_move_somebody_to_another_account_unasked(keyed_site: Site, visit: Visit) -> None:
    page = visit(f"{keyed_site.address}/login")
    log_in(page, keyed_site.key()[1])
    at(page, "/")
    before = page.context.cookies()[0]["value"]
    page.goto(f"{keyed_site.address}/login#{keyed_site.key()[1]}")
    expect(page.get_by_text("This phone is logged in with another key.")).to_be_visible()
    assert page.context.cookies()[0]["value"] == before
    at(page, "/login")
    page.get_by_role("button", name="Log in").click()
    at(page, "/")
    assert page.context.cookies()[0]["value"] != before


def test_logging_in_works_without_scripts(keyed_site: Site, visit: Visit) -> None:
    page = visit(f"{keyed_site.address}/login", java_script_enabled=False)
    log_in(page, keyed_site.key()[1])
    at(page, "/")


def test_after_logging_out_the_cookie_is_worth_nothing(keyed_site: Site, visit: Visit) -> None:
    page = visit(f"{keyed_site.address}/login")
    log_in(page, keyed_site.key()[1])
    at(page, "/")
    kept = {c["name"]: c["value"] for c in page.context.cookies()}
    page.get_by_role("button", name="Log out").click()
    at(page, "/login")
    assert page.context.cookies() == []
    again = httpx.get(f"{keyed_site.address}/", headers=HTML, cookies=kept)
    assert again.headers["location"].startswith("/login")


def test_revoking_the_key_ends_the_login_and_the_photo_waits(keyed_site: Site, visit: Visit, ill_photo: Path) -> None:
    key_id, key = keyed_site.key()
    page = visit(f"{keyed_site.address}/login#{key}")
    at(page, "/")
    page.set_input_files("#choose", ill_photo)
    expect(page.get_by_role("button", name="Send this photo")).to_be_visible()
    keyed_site.revoke(key_id)
    before = keyed_site.rows()
    page.get_by_role("button", name="Send this photo").click()
    expect(page.get_by_role("alert").get_by_role("link")).to_have_attribute("href", "/login")
    expect(page.get_by_alt_text("The photo that you chose")).to_be_visible()
    with page.context.expect_page() as opened:
        page.get_by_role("alert").get_by_role("link").click()
    log_in(opened.value, keyed_site.key()[1])
    at(opened.value, "/")
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("alert")).to_contain_text("Sent again, it goes up under the new login.")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("[data-answer]")).to_be_visible()
    assert keyed_site.rows() == before + 1


# What a stranger's page or a stranger can do


@contextmanager
def session_of(site: Site, role: str = "field") -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.address, headers=HTML, timeout=30) as client:
        entered = client.post("/login", data={"key": site.key(role)[1]}, headers={"sec-fetch-site": "same-origin"})
        assert entered.status_code == 303
        yield client


def post_photo(client: httpx.Client, photo: Path, site: str = "same-origin") -> httpx.Response:
    return client.post("/photos", files={"file": ("a.jpg", photo.read_bytes())}, headers={"sec-fetch-site": site})


@pytest.mark.parametrize("path", ["", "/photo", "/photo?size=thumb"])
def test_an_answer_is_its_owners_and_a_reviewers(keyed_site: Site, ill_photo: Path, path: str) -> None:
    with (
        session_of(keyed_site) as owner,
        session_of(keyed_site) as other,
        session_of(keyed_site, "reviewer") as reviewer,
    ):
        answer = post_photo(owner, ill_photo).headers["location"] + path
        assert owner.get(answer).status_code == 200
        assert other.get(answer).status_code == 404
        assert reviewer.get(answer).status_code == 200
        assert answer.split("?")[0] not in other.get("/answers").text


def test_another_sites_page_can_send_nothing_in_ones_name(keyed_site: Site, ill_photo: Path) -> None:
    with session_of(keyed_site) as client:
        before = keyed_site.rows()
        refused = post_photo(client, ill_photo, site="cross-site")
        assert (refused.status_code, keyed_site.rows()) == (403, before)
        assert client.post("/logout", headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert client.get("/answers").status_code == 200


def test_another_sites_page_cannot_log_a_phone_in(keyed_site: Site) -> None:
    sent = {"key": keyed_site.key()[1]}
    refused = httpx.post(f"{keyed_site.address}/login", data=sent, headers={**HTML, "sec-fetch-site": "cross-site"})
    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize(
    "leads", ["//evil.example/", "https://evil.example/", "/\\evil.example", "/a\r\nSet-Cookie: x=1"]
)
def test_a_login_leads_to_our_own_pages_only(keyed_site: Site, leads: str) -> None:
    entered = httpx.post(
        f"{keyed_site.address}/login",
        data={"key": keyed_site.key()[1], "following": leads},
        headers={**HTML, "sec-fetch-site": "same-origin"},
    )
    assert (entered.status_code, entered.headers["location"]) == (303, "/")


def test_the_open_service_needs_no_login(site: Site, visit: Visit) -> None:
    page = visit(f"{site.address}/login")
    at(page, "/")
    expect(page.get_by_role("button", name="Log out")).to_have_count(0)
