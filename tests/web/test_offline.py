"""Amina has no net: the page opens, her photo waits on the phone, and goes up by itself, once, when the net is back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Error, Page, expect
from sqlalchemy import select
from tests.web.conftest import PHONE, Site, Visit
from tests.web.line import Line, line_to
from tests.web.test_for_everybody import axe, faults_by, small_or_cut  # noqa: F401 - `axe` is a fixture
from tests.web.test_login import at, log_in

from leafloop.errors import Overloaded
from leafloop.storage.blobs import hash_of
from leafloop.storage.tables import Feedback
from leafloop.web import assets

ITEM = ".outbox-item"
PIECE = 256 * 1024


@pytest.fixture
def line(site: Site) -> Iterator[Line]:
    with line_to(site.address) as line:
        yield line


def ready(page: Page) -> Page:
    """With the worker at work: from now on the page opens without a net."""
    page.wait_for_function("() => navigator.serviceWorker.controller")
    page.wait_for_function("async () => Boolean(await caches.match('/'))")
    return page


def cut(page: Page, line: Line) -> None:
    """The net is gone, and the phone knows it."""
    line.down = True
    page.context.set_offline(True)


def mend(page: Page, line: Line) -> None:
    line.down = False
    page.context.set_offline(False)


def keep(page: Page, photo: Path) -> None:
    """Choose a photo without a net, and keep it."""
    page.set_input_files("#choose", photo)
    page.get_by_role("button", name="Keep it on this phone").click()
    expect(page.locator(ITEM).filter(has_text=photo.name)).to_be_visible()


def try_now(page: Page) -> None:
    """Press the button, unless it has gone up by itself meanwhile."""
    with suppress(Error):
        page.get_by_role("button", name="Try now").click(timeout=10_000)


class Pieces:
    """What the service was sent: (offset, bytes) of each piece that it took."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[int, int]] = []
        self.after = lambda _safe: None
        take = site.parts.uploads.take

        def counted(upload_id: str, offset: int, piece: bytes, sender: Any) -> Any:
            taken = take(upload_id, offset, piece, sender)
            self.sent.append((offset, len(piece)))
            self.after(taken.offset)
            return taken

        monkeypatch.setattr(site.parts.uploads, "take", counted)


@pytest.fixture
def pieces(site: Site, monkeypatch: pytest.MonkeyPatch) -> Pieces:
    return Pieces(site, monkeypatch)


# The page


def test_the_page_opens_without_a_net_and_others_say_that_there_is_none(line: Line, visit: Visit) -> None:
    page = ready(visit(line.address))
    cut(page, line)
    page.goto(line.address)
    expect(page.get_by_role("heading", name="Check a leaf")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.bar')).display") == "flex"  # its styles, too
    page.get_by_role("link", name="Answers").click()
    expect(page.get_by_role("heading", name="There is no net here")).to_be_visible()
    mend(page, line)
    page.goto(f"{line.address}/answers")
    expect(page.get_by_role("heading", name="Your answers")).to_be_visible()


def test_the_worker_keeps_no_answer_and_no_photo(line: Line, visit: Visit, ill_photo: Path) -> None:
    page = ready(visit(line.address))
    page.set_input_files("#choose", ill_photo)
    page.get_by_role("button", name="Send this photo").click()
    expect(page.locator("[data-answer]")).to_be_visible()
    page.get_by_role("link", name="Answers").click()
    page.locator(".row-link").first.click()
    expect(page.locator("[data-answer]")).to_be_visible()
    kept = page.evaluate(
        "async () => (await Promise.all((await caches.keys()).map(async (name) =>"
        " (await (await caches.open(name)).keys()).map((one) => new URL(one.url).pathname)))).flat()"
    )
    assert {"/", "/offline"} < set(kept)
    assert all(path in ("/", "/offline") or path.startswith(f"/static/{assets.version()}/") for path in kept)


def test_the_app_can_be_installed(site: Site) -> None:
    said = httpx.get(f"{site.address}/manifest.webmanifest", headers={"accept-language": "es-MX,es;q=0.9"})
    assert said.headers["content-type"] == "application/manifest+json"
    manifest = said.json()
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/", "/", "standalone")
    assert manifest["lang"] == "es"
    for icon in manifest["icons"]:
        picture = httpx.get(site.address + icon["src"])
        assert (picture.status_code, picture.headers["content-type"]) == (200, icon["type"])
        assert len(picture.content) < 20_000


def test_the_worker_is_asked_for_anew_and_bound_to_this_origin(site: Site) -> None:
    worker = httpx.get(f"{site.address}/sw.js")
    assert worker.headers["content-type"] == "text/javascript; charset=utf-8"
    assert worker.headers["cache-control"] == "no-cache"
    assert "default-src 'self'" in worker.headers["content-security-policy"]
    assert assets.version() in worker.text
    assert not re.search(r"^(import|export) ", worker.text, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", worker.text, re.MULTILINE)
    assert sorted(names) == sorted(set(names))  # two modules of one file must not share a name


# A photo


def test_a_photo_taken_without_a_net_goes_up_when_it_is_back_though_the_page_was_closed(
    site: Site, line: Line, visit: Visit, ill_photo: Path
) -> None:
    before = site.rows()
    page = ready(visit(line.address))
    cut(page, line)
    page.get_by_text("About this photo (optional)").click()
    page.get_by_label("Plant or plot").fill("plot 7")
    page.set_input_files("#take", ill_photo)
    page.get_by_role("button", name="Keep it on this phone").click()
    expect(page.locator("#status")).to_have_text("Kept on this phone. It goes up by itself when there is a net.")
    expect(page.locator(ITEM)).to_contain_text("Waits for a net.")
    expect(page.locator(f"{ITEM} img")).to_be_visible()
    expect(page.locator("#ask")).to_be_visible()  # and the next leaf can be photographed
    context = page.context
    page.close()
    page = context.new_page()
    page.goto(line.address)
    expect(page.locator(ITEM)).to_contain_text("Waits for a net.")
    assert site.rows() == before
    mend(page, line)
    expect(page.locator(ITEM)).to_contain_text("It has arrived.")
    assert site.rows() == before + 1
    kept = site.newest()
    assert (kept.image_hash, kept.source) == (hash_of(ill_photo.read_bytes()), "page")
    page.get_by_role("link", name="See the answer").click()
    expect(page.locator("[data-answer]")).to_have_attribute("data-answer", kept.id)
    page.get_by_text("About this answer").click()
    expect(page.locator("[data-answer]")).to_contain_text("plot 7")
    page.go_back()
    page.get_by_role("button", name="Put away").click()
    expect(page.locator("#outbox")).to_be_hidden()


def test_stopped_at_six_tenths_it_goes_on_from_there_and_sends_nothing_twice(
    site: Site, line: Line, visit: Visit, big_photo: Path, pieces: Pieces
) -> None:
    before, size = site.rows(), big_photo.stat().st_size
    page = ready(visit(line.address))
    cut(page, line)
    keep(page, big_photo)

    def stop(safe: int) -> None:
        if safe >= 0.6 * size:
            line.down = True

    pieces.after = stop
    mend(page, line)
    expect(page.locator(ITEM)).to_contain_text("Waits for a net.")
    expect(page.locator(ITEM)).to_contain_text(re.compile(r"1\d of 2\d pieces have arrived"))
    page.context.set_offline(True)
    context = page.context
    page.close()
    assert site.rows() == before
    pieces.after = lambda _safe: None
    page = context.new_page()
    mend(page, line)
    page.goto(line.address)
    expect(page.locator(ITEM)).to_contain_text("It has arrived.")
    assert site.rows() == before + 1
    assert site.newest().image_hash == hash_of(big_photo.read_bytes())
    assert sum(count for _, count in pieces.sent) == size  # not a byte twice
    assert [offset for offset, _ in pieces.sent] == list(range(0, size, PIECE))


def test_a_cut_on_the_way_is_one_step_from_keeping_and_counts_once(
    site: Site, line: Line, visit: Visit, ill_photo: Path
) -> None:
    before = site.rows()
    page = ready(visit(line.address))
    page.set_input_files("#choose", ill_photo)
    line.lose_answers = True  # it arrives, and nobody hears of it
    page.get_by_role("button", name="Send this photo").click()
    expect(page.get_by_role("alert")).to_contain_text("The network was interrupted")
    assert site.rows() == before + 1
    page.get_by_role("alert").get_by_role("button", name="Keep it on this phone").click()
    expect(page.locator(ITEM).last).to_be_visible()
    line.lose_answers = False
    try_now(page)
    expect(page.locator(ITEM)).to_contain_text("It has arrived.")
    assert site.rows() == before + 1
    expect(page.get_by_role("link", name="See the answer")).to_have_attribute("href", f"/answers/{site.newest().id}")


def test_two_tabs_do_not_send_twice(site: Site, line: Line, visit: Visit, big_photo: Path, pieces: Pieces) -> None:
    before = site.rows()
    page = ready(visit(line.address))
    cut(page, line)
    keep(page, big_photo)
    other = page.context.new_page()
    other.goto(line.address)
    expect(other.locator(ITEM)).to_be_visible()
    mend(page, line)
    for tab in (page, other):
        expect(tab.locator(ITEM)).to_contain_text("It has arrived.")
    assert site.rows() == before + 1
    assert len(pieces.sent) == len(set(pieces.sent)) == -(-big_photo.stat().st_size // PIECE)


def test_a_busy_service_is_asked_again(
    site: Site, line: Line, visit: Visit, ill_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_photo_and_sender: object) -> None:
        raise Overloaded

    page = ready(visit(line.address))
    cut(page, line)
    keep(page, ill_photo)
    with monkeypatch.context() as rush_hour:
        rush_hour.setattr(site.parts.answering, "answer", full)
        mend(page, line)
        expect(page.locator(ITEM)).to_contain_text("The service is busy.")
    try_now(page)
    expect(page.locator(ITEM)).to_contain_text("It has arrived.")


def test_what_is_no_photo_is_refused_for_good_and_says_why(line: Line, visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_bytes(b"Dear diary")
    page = ready(visit(line.address))
    cut(page, line)
    keep(page, tmp_path / "notes.jpg")
    mend(page, line)
    expect(page.locator(ITEM)).to_contain_text("Not taken: The file is not a picture.")
    expect(page.get_by_role("button", name="Try now")).to_be_hidden()
    page.get_by_role("button", name="Put away").click()
    expect(page.locator("#outbox")).to_be_hidden()


def test_a_photo_that_is_refused_for_no_fault_of_its_own_is_kept_and_goes_up_later(
    site: Site, line: Line, visit: Visit, ill_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = site.rows()
    page = ready(visit(line.address))
    cut(page, line)
    keep(page, ill_photo)
    with monkeypatch.context() as lowered:
        lowered.setattr(site.parts.uploads, "max_bytes", 9)
        mend(page, line)
        expect(page.locator(ITEM)).to_contain_text("It is kept here, whole")
    assert site.rows() == before
    page.get_by_role("button", name="Try now").click()
    expect(page.locator(ITEM)).to_contain_text("It has arrived.")
    assert site.newest().image_hash == hash_of(ill_photo.read_bytes())


def test_what_is_removed_while_it_is_changed_stays_removed(line: Line, visit: Visit) -> None:
    page = ready(visit(line.address))
    left = page.evaluate(
        """async (address) => {
          const { add, change, entries, remove } = await import(address);
          await add({ id: "x", kind: "words", owner: "open", made: "2026", state: "refused", problem: {}, url: "/answers/1/words", fields: [] });
          await Promise.all([change("x", { why: "busy" }), remove("x")]);
          return (await entries()).length;
        }""",
        assets.url("store.js"),
    )
    assert left == 0


def test_a_photo_that_waits_is_removed_only_when_that_is_said_twice(
    site: Site, line: Line, visit: Visit, ill_photo: Path
) -> None:
    before = site.rows()
    page = ready(visit(line.address))
    cut(page, line)
    keep(page, ill_photo)
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator(ITEM).last).to_be_visible()
    page.get_by_role("button", name="Remove for good?").click()
    expect(page.locator("#outbox")).to_be_hidden()
    mend(page, line)
    page.reload()
    expect(page.locator("#outbox")).to_be_hidden()
    assert site.rows() == before


def test_a_phone_without_room_says_so_and_the_photo_stays_on_the_page(
    line: Line, visit: Visit, ill_photo: Path
) -> None:
    page = ready(visit(line.address))
    page.evaluate(
        "() => { IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }; }"
    )
    cut(page, line)
    page.set_input_files("#choose", ill_photo)
    page.get_by_role("button", name="Keep it on this phone").click()
    expect(page.get_by_role("alert")).to_contain_text("This phone has no room for the photo")
    expect(page.get_by_alt_text("The photo that you chose")).to_be_visible()


# Whose it is


def test_where_the_login_has_ended_it_is_kept_and_goes_up_under_that_login_alone(
    keyed_site: Site, visit: Visit, ill_photo: Path
) -> None:
    mine, before = keyed_site.key()[1], keyed_site.rows()
    with line_to(keyed_site.address) as line:
        page = visit(f"{line.address}/login#{mine}")
        at(page, "/")
        ready(page)
        cut(page, line)
        keep(page, ill_photo)
        page.context.clear_cookies()
        mend(page, line)
        expect(page.locator(ITEM)).to_contain_text("Your login has ended. It is kept here")
        expect(page.locator(ITEM).get_by_role("link", name="Log in again")).to_be_visible()
        page.goto(f"{line.address}/login")
        log_in(page, keyed_site.key()[1])
        expect(page.locator("#outbox")).to_contain_text("One more thing waits here under another login.")
        expect(page.locator(ITEM)).to_have_count(0)
        assert keyed_site.rows() == before
        page.goto(f"{line.address}/login")
        log_in(page, mine)
        expect(page.locator(ITEM)).to_contain_text("It has arrived.")
        assert keyed_site.rows() == before + 1


def test_who_logs_out_is_told_of_what_waits_and_leaves_no_page_behind(
    keyed_site: Site, visit: Visit, ill_photo: Path
) -> None:
    with line_to(keyed_site.address) as line:
        page = visit(f"{line.address}/login#{keyed_site.key()[1]}")
        at(page, "/")
        ready(page)
        cut(page, line)
        keep(page, ill_photo)
        line.down = False  # the phone itself still thinks that it is offline, so nothing goes up
        page.evaluate("() => { navigator.locks.request('leafloop.outbox', () => new Promise(() => {})); }")
        page.context.set_offline(False)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("alert")).to_contain_text("Something still waits on this phone.")
        page.get_by_role("button", name="Log out all the same").click()
        at(page, "/login")
        page.wait_for_function("async () => !(await caches.match('/'))")
        cut(page, line)
        page.goto(line.address)
        expect(page.get_by_role("heading", name="There is no net here")).to_be_visible()


# For everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_list_of_what_waits(
    line: Line,
    visit: Visit,
    axe: str,  # noqa: F811
    ill_photo: Path,
    tmp_path: Path,
    scheme: str,
) -> None:
    (tmp_path / "notes.jpg").write_bytes(b"Dear diary")
    page = ready(visit(line.address, **PHONE, color_scheme=scheme))
    cut(page, line)
    for photo in (ill_photo, tmp_path / "notes.jpg"):
        keep(page, photo)
    expect(page.locator(ITEM)).to_have_count(2)
    found = [faults_by(axe, page)]
    mend(page, line)
    expect(page.locator(ITEM).nth(0)).to_contain_text("It has arrived.")
    expect(page.locator(ITEM).nth(1)).to_contain_text("Not taken")
    found.append(faults_by(axe, page))
    page.goto(f"{line.address}/offline")
    found.append(faults_by(axe, page))
    assert found == [[], [], []]


def test_the_list_fits_a_narrow_phone(line: Line, visit: Visit, ill_photo: Path) -> None:
    page = ready(visit(f"{line.address}/?lang=fil", **{**PHONE, "viewport": {"width": 320, "height": 800}}))
    cut(page, line)
    page.set_input_files("#choose", ill_photo)
    page.locator("#send").click()
    expect(page.locator(ITEM).last).to_be_visible()
    assert small_or_cut(page) == []
    wide = "() => [...document.querySelectorAll('#outbox *')].filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth)"
    assert page.evaluate(f"({wide})().map((e) => e.outerHTML)") == []


# Words


def test_words_without_a_net_wait_and_are_said_once_in_their_order(
    site: Site, line: Line, visit: Visit, ill_photo: Path
) -> None:
    page = ready(visit(line.address))
    page.set_input_files("#choose", ill_photo)
    page.get_by_role("button", name="Send this photo").click()
    expect(page.locator("[data-answer]")).to_be_visible()
    cut(page, line)
    page.get_by_role("button", name="Right", exact=True).click()
    expect(page.locator("[data-fault]")).to_have_text("Kept on this phone. It goes up by itself when there is a net.")
    page.get_by_role("button", name="Ask an expert").click()
    expect(page.locator(ITEM)).to_have_count(2)
    assert words(site) == []
    mend(page, line)
    for item in (0, 1):
        expect(page.locator(ITEM).nth(item)).to_contain_text("It has arrived. Thank you.")
    first, second = words(site)
    assert (first.status, second.ask_expert, second.is_correct) == ("replaced", True, True)
    page.get_by_role("link", name="See the answer").first.click()
    expect(page.locator("[data-words]")).to_contain_text("An expert was asked.")


def test_what_is_said_with_a_waiting_photo_is_said_of_its_answer_once(
    site: Site, line: Line, visit: Visit, ill_photo: Path
) -> None:
    page = ready(visit(line.address))
    page.get_by_text("About this photo (optional)").click()
    page.get_by_label("Your remark (optional)").fill("Two weeks\nof rain")
    page.get_by_label("Ask an expert").check()
    page.set_input_files("#choose", ill_photo)
    line.lose_answers = True  # it arrives with what was said, and nobody hears of it
    page.get_by_role("button", name="Send this photo").click()
    expect(page.get_by_role("alert")).to_contain_text("The network was interrupted")
    page.get_by_role("alert").get_by_role("button", name="Keep it on this phone").click()
    expect(page.get_by_label("Ask an expert")).not_to_be_checked()  # that was said of the last photo
    line.lose_answers = False
    try_now(page)
    for item in (0, 1):
        expect(page.locator(ITEM).nth(item)).to_contain_text("It has arrived.")
    (word,) = words(site)
    assert (word.ask_expert, word.user_comment) == (True, "Two weeks\nof rain")
    cut(page, line)
    page.get_by_label("Your remark (optional)").fill("A halo")
    keep(page, ill_photo)
    mend(page, line)
    expect(page.locator(ITEM)).to_have_count(4)
    for item in range(4):
        expect(page.locator(ITEM).nth(item)).to_contain_text("It has arrived.")
    (word,) = words(site)
    assert (word.ask_expert, word.user_comment) == (False, "A halo")


def test_a_word_that_breaks_off_twice_waits_too(site: Site, line: Line, visit: Visit, ill_photo: Path) -> None:
    page = ready(visit(line.address))
    page.set_input_files("#choose", ill_photo)
    page.get_by_role("button", name="Send this photo").click()
    expect(page.locator("[data-answer]")).to_be_visible()
    line.lose_answers = True  # it arrives each time, and nobody hears of it
    page.get_by_role("button", name="Right", exact=True).click()
    page.locator("[data-words]").get_by_role("button", name="Send again").click()
    expect(page.locator("[data-fault]")).to_have_text("Kept on this phone. It goes up by itself when there is a net.")
    line.lose_answers = False
    try_now(page)
    expect(page.locator(ITEM)).to_contain_text("It has arrived. Thank you.")
    assert len(words(site)) == 1


def words(site: Site) -> list[Feedback]:
    with site.parts.ledger.reading() as session:
        mine = select(Feedback).where(Feedback.prediction_id == site.newest().id).order_by(Feedback.timestamp)
        return list(session.scalars(mine))
