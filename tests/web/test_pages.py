"""The pages as HTTP sees them: lists and photos, files that never change, headers, and the ways to say no."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from tests.web.conftest import ILL, Site, jpeg

from leafloop.web import assets, pages
from leafloop.web.rendering import CONTENT_SECURITY_POLICY

HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.address, headers=HTML, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def answer(browser: httpx.Client, ill_photo: Path) -> str:
    """The address of one answer."""
    sent = browser.post("/photos", files={"file": ("leaf.jpg", ill_photo.read_bytes())})
    return str(sent.headers["location"])


# Answers


def test_answers_are_listed_newest_first_and_paged(
    browser: httpx.Client, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PER_PAGE", 2)
    sent = [
        browser.post("/photos", files={"file": (f"{n}.jpg", jpeg(300, 300, (n, (50, 50, 120, 120))))}).headers[
            "location"
        ]
        for n in (1, 2, 3)
    ]
    first, second = browser.get("/answers").text, browser.get("/answers?page=2").text
    listed = re.findall(r'class="row-link" href="([^"]+)"', first + second)
    assert listed[:3] == sent[::-1]
    assert 'href="/answers?page=2"' in first
    assert 'href="/answers?page=1"' in second
    assert f"Page 1 of {-(-site.rows() // 2)}" in first


@pytest.mark.parametrize("page", ["0", "-1", "x", "1000000000000"])
def test_a_page_number_that_is_none_is_refused(browser: httpx.Client, page: str) -> None:
    assert browser.get(f"/answers?page={page}").status_code == 422


def test_a_page_past_the_end_is_empty(browser: httpx.Client) -> None:
    assert "There are no answers yet." in browser.get("/answers?page=99999").text


@pytest.mark.parametrize("name", ["nothing", "00000000-0000-4000-8000-000000000000", "%00", "..%2f..", "'--"])
def test_an_answer_that_does_not_exist_is_a_friendly_404(browser: httpx.Client, name: str) -> None:
    lost = browser.get(f"/answers/{name}")
    assert lost.status_code == 404
    assert "Nothing grows here" in lost.text


# Photos


def picture(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200
    return Image.open(io.BytesIO(response.content))


def test_the_photo_comes_whole_and_smaller(browser: httpx.Client, answer: str) -> None:
    assert picture(browser.get(f"{answer}/photo")).size == (512, 512)
    assert picture(browser.get(f"{answer}/photo?size=view")).size == (512, 512)
    thumb = browser.get(f"{answer}/photo?size=thumb")
    assert picture(thumb).size == (240, 240)
    assert len(thumb.content) < 30_000


def test_a_smaller_photo_is_upright_and_carries_no_exif(browser: httpx.Client) -> None:
    turned = Image.open(
        io.BytesIO(jpeg(600, 300, *((c, (x1 // 2, y1 // 2, x2 // 2, y2 // 2)) for c, (x1, y1, x2, y2) in ILL)))
    )
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, clockwise
    exif[0x010E] = "secret words"
    out = io.BytesIO()
    turned.save(out, "JPEG", exif=exif)
    place = browser.post("/photos", files={"file": ("turned.jpg", out.getvalue())}).headers["location"]
    thumb = browser.get(f"{place}/photo?size=thumb")
    assert picture(thumb).size == (120, 240)
    assert b"secret words" not in thumb.content + browser.get(f"{place}/photo").content


def test_a_photo_may_be_kept_by_its_owners_browser_and_by_nobody_between(browser: httpx.Client, answer: str) -> None:
    headers = browser.get(f"{answer}/photo").headers
    assert headers["cache-control"].startswith("private")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"] == "image/jpeg"


def test_a_size_that_is_none_is_not_there(browser: httpx.Client, answer: str) -> None:
    assert browser.get(f"{answer}/photo?size=huge").status_code == 404


# Files of the pages


def test_a_file_may_be_kept_for_ever_under_its_own_hash_only(browser: httpx.Client) -> None:
    now, old = browser.get(assets.url("field.js")), browser.get("/static/000000000000/field.js")
    assert "immutable" in now.headers["cache-control"]
    assert old.headers["cache-control"] == "no-cache"
    assert now.content == old.content == (assets.FOLDER / "field.js").read_bytes()


def test_files_are_gzipped_for_who_takes_it(site: Site) -> None:
    with httpx.stream("GET", site.address + assets.url("leafloop.css"), headers={"accept-encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert gzip.decompress(raw) == (assets.FOLDER / "leafloop.css").read_bytes()
    plain = httpx.get(site.address + assets.url("leafloop.css"), headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("name", ["nothing.js", "..%2fpages.py", "%2e%2e/pages.py"])
def test_no_other_file_is_served(browser: httpx.Client, name: str) -> None:
    assert browser.get(f"/static/x/{name}").status_code == 404


# Headers and errors


@pytest.mark.parametrize("path", ["/", "/answers", "/nowhere"])
def test_every_page_says_what_it_may_load_and_is_kept_by_nobody(browser: httpx.Client, path: str) -> None:
    headers = browser.get(path).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_policy_lets_nothing_inline_and_nothing_foreign_in() -> None:
    assert "default-src 'self'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY


def test_a_browser_gets_a_page_and_a_program_a_document_for_the_same_error(browser: httpx.Client, site: Site) -> None:
    page, document = (
        browser.get("/nowhere"),
        httpx.get(f"{site.address}/nowhere", headers={"accept": "application/json"}),
    )
    assert (page.status_code, document.status_code) == (404, 404)
    assert page.headers["content-type"].startswith("text/html")
    assert document.headers["content-type"] == "application/problem+json"


def test_a_browser_at_a_call_of_the_api_gets_the_document(browser: httpx.Client) -> None:
    assert browser.get("/api/v1/nowhere").headers["content-type"] == "application/problem+json"


def test_the_script_gets_the_problem_alone_with_its_number(browser: httpx.Client) -> None:
    refused = browser.post("/photos", files={"file": ("a.txt", b"no photo")}, headers={"Leafloop-Partial": "1"})
    assert refused.status_code == 415
    assert refused.headers["leafloop-partial"] == "1"
    assert 'data-problem="not_an_image"' in refused.text
    assert refused.headers["x-request-id"] in refused.text
    assert "<html" not in refused.text


def test_a_title_that_begins_the_detail_is_said_once(browser: httpx.Client) -> None:
    text = browser.post("/photos", files={"file": ("a.txt", b"no photo")}, headers={"Leafloop-Partial": "1"}).text
    assert text.count("The file is not a picture") == 1


def test_a_program_asks_the_same_address_and_gets_json(site: Site) -> None:
    told = httpx.get(site.address, headers={"accept": "application/json"}).json()
    assert set(told) == {"message", "version", "endpoints"}
