"""Amina stands before a banana plant with a phone: she sends a photo and reads the answer, on good networks and on bad ones."""

from __future__ import annotations

import io
import re
from datetime import timedelta, timezone
from pathlib import Path

import httpx
import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect
from tests.web.conftest import DESKTOP, ILL, Site, Visit, Watched, jpeg
from tests.web.line import line_to

from leafloop import taxonomy
from leafloop.errors import Overloaded

BANANA = taxonomy.load()
STAGE = BANANA.title(4)
ANSWER = "[data-answer]"


def choose(page: Page, photo: Path | FilePayload) -> None:
    page.set_input_files("#choose", photo)


def send(page: Page) -> None:
    page.get_by_role("button", name=re.compile("Send")).click()


def headline(page: Page) -> str:
    return page.locator(f"{ANSWER} h2").inner_text()


def test_a_photo_is_chosen_sent_and_answered_in_words(
    site: Site, visit: Visit, watched: Watched, ill_photo: Path
) -> None:
    page = visit(site.address)
    choose(page, ill_photo)
    expect(page.get_by_alt_text("The photo that you chose")).to_be_visible()
    expect(page.locator("#preview-facts")).to_contain_text("512 × 512 pixels")
    send(page)
    expect(page.locator(f"{ANSWER} h2")).to_have_text(STAGE)
    answer = page.locator(ANSWER)
    expect(answer).to_contain_text(re.compile(r"sure: \d\d%"))
    expect(answer).to_contain_text(BANANA.advice_for(4) or "?")
    expect(answer).to_contain_text("No agronomist has reviewed these words yet.")
    expect(page.locator("#status")).to_have_text("The answer is here.")
    assert watched.console == []


def test_the_boxes_lie_on_the_lesions_and_carry_text(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address)
    choose(page, ill_photo)
    send(page)
    photo = page.locator(f"{ANSWER} [data-photo] img").bounding_box()
    boxes = [rect.bounding_box() for rect in page.locator(".boxes .edge").all()]
    assert photo is not None
    scale = photo["width"] / 512
    found = sorted(((b["x"] - photo["x"]) / scale, (b["y"] - photo["y"]) / scale) for b in boxes if b)
    for place, (_, (x1, y1, _, _)) in zip(found, ILL, strict=True):
        assert place == pytest.approx((x1, y1), abs=8)  # the line is 5 px thick, and a pixel here is 1.4 of the photo's
    assert sorted(page.locator(".mark-words").all_text_contents()) == ["2", "4"]
    expect(page.get_by_role("list", name="What the boxes mean").get_by_role("listitem")).to_have_count(2)
    page.get_by_text("Every box in words").click()
    expect(page.get_by_role("row", name=re.compile("top left"))).to_contain_text(STAGE)


def test_a_tap_zooms_and_the_boxes_can_be_hidden(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address)
    choose(page, ill_photo)
    send(page)
    window = page.locator("[data-photo-window]")
    before = page.locator("[data-photo-canvas]").bounding_box()
    page.locator("[data-photo-canvas]").tap(position={"x": 60, "y": 50})
    after = page.locator("[data-photo-canvas]").bounding_box()
    assert before
    assert after
    assert after["width"] == pytest.approx(3 * before["width"], rel=0.02)
    assert window.evaluate("w => w.scrollWidth > w.clientWidth")
    page.get_by_role("button", name="Zoom in").click()
    expect(page.get_by_role("button", name="Zoom in")).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Hide boxes").click()
    expect(page.locator("[data-boxes]")).to_be_hidden()


def test_the_camera_is_offered_on_a_phone_and_not_on_a_desktop(site: Site, visit: Visit, ill_photo: Path) -> None:
    phone, desktop = visit(site.address), visit(site.address, **DESKTOP)
    expect(phone.get_by_text("Take a photo", exact=True)).to_be_visible()
    assert phone.locator("#take").get_attribute("capture") == "environment"
    phone.set_input_files("#take", ill_photo)
    send(phone)
    expect(phone.locator(f"{ANSWER} h2")).to_have_text(STAGE)
    expect(desktop.get_by_text("Take a photo", exact=True)).to_be_hidden()


def test_what_is_said_about_the_photo_is_kept_with_it(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address)
    choose(page, ill_photo)
    page.get_by_text("About this photo (optional)").click()
    page.get_by_label("Your name or number").fill("Amina")
    page.get_by_label("Plant or plot").fill("plot 7")
    send(page)
    expect(page.locator(ANSWER)).to_be_visible()
    kept = site.newest()
    assert (kept.user_id, kept.source) == ("Amina", "page")
    page.get_by_text("About this answer").click()
    expect(page.locator(ANSWER)).to_contain_text("plot 7")
    page.reload()
    page.get_by_text("About this photo (optional)").click()
    expect(page.get_by_label("Your name or number")).to_have_value("Amina")


def test_the_next_leaf_starts_afresh(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address)
    choose(page, ill_photo)
    send(page)
    page.get_by_role("button", name="Check another leaf").click()
    expect(page.get_by_text("Choose a photo", exact=True)).to_be_visible()
    expect(page.locator(ANSWER)).to_have_count(0)
    choose(page, ill_photo)
    before = site.rows()
    send(page)
    expect(page.locator(ANSWER)).to_be_visible()
    assert site.rows() == before + 1  # the same photo on purpose is a new question


def test_an_open_answer_asks_for_a_better_photo(site: Site, visit: Visit) -> None:
    page = visit(site.address)
    choose(page, {"name": "night.jpg", "mimeType": "image/jpeg", "buffer": jpeg(300, 300, (6, (0, 0, 300, 300)))})
    send(page)
    expect(page.locator(ANSWER)).to_have_attribute("data-outcome", re.compile("uncertain|no_leaf"))
    expect(page.locator(ANSWER)).to_contain_text(re.compile("Photograph one"))
    expect(page.locator(ANSWER)).to_contain_text("The photo could be better")


def test_a_photo_that_the_browser_cannot_show_is_shown_from_the_kept_copy(site: Site, visit: Visit) -> None:
    pillow_heif.register_heif_opener()
    out = io.BytesIO()
    Image.open(io.BytesIO(jpeg(512, 512, *ILL))).save(out, "HEIF", quality=95)
    page = visit(site.address)
    choose(page, {"name": "leaf.heic", "mimeType": "image/heic", "buffer": out.getvalue()})
    expect(page.get_by_text("This browser cannot show this kind of photo.")).to_be_visible()
    send(page)
    expect(page.locator(f"{ANSWER} h2")).to_have_text(STAGE)
    page.wait_for_function("() => document.querySelector('[data-answer] img').naturalWidth === 512")


def test_times_are_the_readers_own(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address)
    choose(page, ill_photo)
    send(page)
    page.get_by_text("About this answer").click()
    in_kampala = site.newest().timestamp.astimezone(timezone(timedelta(hours=3)))
    expect(page.locator("time")).to_have_text(f"{in_kampala.day} {in_kampala:%b %Y, %H:%M}")


# When the photo is wrong


def test_a_file_that_is_no_photo_is_explained_and_can_be_changed(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address)
    choose(page, {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"Dear diary, today I saw a leaf."})
    expect(page.get_by_text("This browser cannot show this kind of photo.")).to_be_visible()
    send(page)
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("The file is not a picture")
    expect(problem).to_contain_text("JPEG, PNG, WebP or HEIC")
    expect(page.get_by_role("button", name=re.compile("Send"))).to_be_hidden()
    choose(page, ill_photo)
    expect(problem).to_be_hidden()
    send(page)
    expect(page.locator(f"{ANSWER} h2")).to_have_text(STAGE)


def test_a_file_that_is_too_large_is_not_even_sent(site: Site, visit: Visit, tmp_path: Path) -> None:
    page = visit(site.address)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(site.parts.settings.max_upload_bytes + 1)
    choose(page, large)
    expect(page.get_by_role("alert")).to_contain_text("at most 31.5 MB are taken")
    expect(page.get_by_role("button", name=re.compile("Send"))).to_be_hidden()
    assert not [url for url in requests if url.endswith("/photos")]


def test_names_and_words_from_people_are_shown_as_text(site: Site, visit: Visit, ill_photo: Path) -> None:
    evil = '"><img src=x onerror="window.pwned=1">'
    page = visit(site.address)
    choose(page, {"name": f"{evil}.jpg", "mimeType": "image/jpeg", "buffer": ill_photo.read_bytes()})
    page.get_by_text("About this photo (optional)").click()
    for label in ("Your name or number", "Plant or plot", "Place"):
        page.get_by_label(label, exact=True).fill(evil)
    send(page)
    page.get_by_text("About this answer").click()
    expect(page.locator(ANSWER).get_by_text(evil)).to_have_count(3)
    page.get_by_role("link", name="This answer as a page of its own").click()
    page.get_by_text("About this answer").click()
    expect(page.locator(ANSWER).get_by_text(evil)).to_have_count(3)
    page.goto(f"{site.address}/answers")
    expect(page.locator("main")).to_contain_text(evil)
    assert page.evaluate("window.pwned") is None


# On a slow network


def test_slow_network_mode_shrinks_says_so_and_is_remembered(site: Site, visit: Visit, big_photo: Path) -> None:
    page = visit(site.address)
    expect(page.get_by_text("Small lesions may be missed.")).to_be_visible()  # before anything is chosen
    page.get_by_role("switch", name="Slow network").check()
    choose(page, big_photo)
    expect(page.locator("#shrunk")).to_have_text(
        re.compile(r"Shrunk from [\d.]+ MB to \d+ kB .* Small lesions may be missed\.")
    )
    expect(page.locator("#preview-facts")).to_contain_text("1600 × 1200 pixels")
    send(page)
    expect(page.get_by_text("This answer is about a shrunk photo")).to_be_visible()
    assert (site.newest().image_width, site.newest().image_height) == (1600, 1200)
    page.reload()
    expect(page.get_by_role("switch", name="Slow network")).to_be_checked()


def test_without_slow_network_mode_every_byte_is_sent(site: Site, visit: Visit, big_photo: Path) -> None:
    page = visit(site.address)
    choose(page, big_photo)
    send(page)
    expect(page.locator(ANSWER)).to_be_visible()
    assert site.newest().image_width == 2000
    expect(page.locator("#shrunk-answer")).to_be_hidden()


def test_a_small_photo_is_left_as_it_is(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address)
    page.get_by_role("switch", name="Slow network").check()
    choose(page, ill_photo)
    expect(page.locator("#shrunk")).to_have_text("The photo is small already, so it is sent as it is.")


# When the network breaks


def test_a_cut_in_mid_upload_keeps_the_photo_and_sending_again_makes_one_row(
    site: Site, visit: Visit, big_photo: Path
) -> None:
    before = site.rows()
    with line_to(site.address) as line:
        page = visit(line.address)
        choose(page, big_photo)
        line.cut_after = big_photo.stat().st_size // 2
        send(page)
        expect(page.get_by_role("alert")).to_contain_text("The network was interrupted")
        assert line.broken
        expect(page.get_by_alt_text("The photo that you chose")).to_be_visible()
        assert site.rows() == before
        line.cut_after = None
        page.get_by_role("button", name="Send again").click()
        expect(page.locator(f"{ANSWER} h2")).to_have_text(STAGE)
    assert site.rows() == before + 1


def test_an_answer_lost_on_its_way_back_is_not_asked_for_twice(site: Site, visit: Visit, ill_photo: Path) -> None:
    before = site.rows()
    with line_to(site.address) as line:
        page = visit(line.address)
        choose(page, ill_photo)
        line.lose_answers = True
        send(page)
        expect(page.get_by_role("alert")).to_contain_text("It will be counted only once.")
        assert line.broken
        assert site.rows() == before + 1  # it had arrived
        expect(
            page.get_by_role("switch", name="Slow network")
        ).to_be_disabled()  # so the next try must be the same request
        line.lose_answers = False
        page.get_by_role("button", name="Send again").click()
        expect(page.locator(f"{ANSWER} h2")).to_have_text(STAGE)
    assert site.rows() == before + 1


def test_after_a_cut_the_photo_can_be_shrunk_for_the_next_try(site: Site, visit: Visit, big_photo: Path) -> None:
    before = site.rows()
    with line_to(site.address) as line:
        page = visit(line.address)
        choose(page, big_photo)
        line.cut_after = 50_000  # early: what the phone has handed to its own system by then is far from all
        send(page)
        expect(page.get_by_role("alert")).to_contain_text("The network was interrupted")
        line.cut_after = None
        page.get_by_role("switch", name="Slow network").check()
        expect(page.locator("#shrunk")).to_contain_text("Shrunk from")
        send(page)
        expect(page.locator(f"{ANSWER} h2")).to_have_text(STAGE)
    assert (site.rows(), site.newest().image_width) == (before + 1, 1600)


def test_a_stranger_on_the_line_is_not_taken_for_the_answer(site: Site, visit: Visit, ill_photo: Path) -> None:
    """A hotel's login page answers 200 to everything."""
    page = visit(site.address)
    page.route("**/photos", lambda route: route.fulfill(status=200, body="<h2>Welcome to the hotel</h2>"))
    choose(page, ill_photo)
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("The service did not answer as expected")
    expect(page.get_by_text("Welcome to the hotel")).to_have_count(0)


def test_a_service_that_is_busy_says_so_and_the_photo_can_be_sent_again(
    site: Site, visit: Visit, ill_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_photo_and_sender: object) -> None:
        raise Overloaded

    page = visit(site.address)
    choose(page, ill_photo)
    with monkeypatch.context() as rush_hour:
        rush_hour.setattr(site.parts.answering, "answer", full)
        send(page)
        expect(page.get_by_role("button", name="Send again")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text(re.compile("again", re.IGNORECASE))
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(f"{ANSWER} h2")).to_have_text(STAGE)


def test_sending_can_be_called_off(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address)
    page.route("**/photos", lambda _route: None)  # never answered
    choose(page, ill_photo)
    send(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_have_text("Not sent. The photo is still here.")
    expect(page.get_by_role("button", name="Send this photo")).to_be_focused()
    page.unroute("**/photos")


# Without a script


def test_without_scripts_a_plain_form_gives_the_answer_page(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address, java_script_enabled=False)
    choose(page, ill_photo)
    send(page)
    page.wait_for_url("**/answers/*")
    expect(page.locator(f"{ANSWER} h2")).to_have_text(STAGE)
    expect(page.locator(f"{ANSWER} [data-photo] img")).to_be_visible()


def test_without_scripts_an_error_is_a_page(site: Site, visit: Visit) -> None:
    page = visit(site.address, java_script_enabled=False)
    choose(page, {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"Dear diary"})
    send(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("That did not work")
    expect(page.locator("main")).to_contain_text("The file is not a picture")


def test_a_plain_form_sent_twice_is_one_answer_and_another_photo_another(site: Site, ill_photo: Path) -> None:
    with httpx.Client(base_url=site.address, headers={"accept": "text/html"}, timeout=30) as browser:
        token = re.search(r'name="form_token" value="([^"]+)"', browser.get("/").text)
        assert token

        def post(data: bytes) -> str:
            answer = browser.post("/photos", files={"file": ("a.jpg", data)}, data={"form_token": token[1]})
            assert answer.status_code == 303
            return answer.headers["location"]

        other = jpeg(300, 300, (3, (50, 50, 120, 120)))
        assert post(ill_photo.read_bytes()) == post(ill_photo.read_bytes()) != post(other)


def test_a_form_without_a_photo_says_so(site: Site) -> None:
    answer = httpx.post(f"{site.address}/photos", files={"file": ("", b"")}, headers={"accept": "text/html"})
    assert answer.status_code == 422
    assert "Take or choose a photo first." in answer.text
