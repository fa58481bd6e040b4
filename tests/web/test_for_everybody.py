"""Who has no mouse, sees little, hears the page, or pays by the kilobyte: keyboard, axe, reduced motion, weight."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.web.conftest import DESKTOP, PHONE, Site, Visit, Watched

ROOT = Path(__file__).resolve().parents[2]
AXE = Path(os.environ.get("LEAFLOOP_TEST_AXE") or ROOT / "node_modules/axe-core/axe.min.js")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MAX_WEIGHT = 100_000  # bytes on the wire, without the photo: two seconds of a 400 kbit/s line
ANSWER = "[data-answer]"


def answered(page: Page, photo: Path) -> None:
    page.set_input_files("#choose", photo)
    page.get_by_role("button", name="Send this photo").click()
    expect(page.locator(ANSWER)).to_be_visible()


# axe


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip(f"needs axe-core: 'npm install --prefix FOLDER axe-core', LEAFLOOP_TEST_AXE={AXE.name} in it")
    return AXE.read_text("utf-8")


def faults_by(axe: str, page: Page) -> list[str]:
    """What axe finds, as `rule: place`. Run through the debugger, so that the page's own policy stays as it is."""
    page.evaluate(f"() => {{ {axe}; }}")
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    assert found["passes"]
    return [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize(
    ("device", "scheme"), [(PHONE, "light"), (DESKTOP, "dark")], ids=["phone-light", "desktop-dark"]
)
def test_axe_finds_nothing(
    site: Site, keyed_site: Site, visit: Visit, axe: str, ill_photo: Path, device: dict[str, Any], scheme: str
) -> None:
    page = visit(site.address, **device, color_scheme=scheme)
    found = {"field": faults_by(axe, page)}
    page.get_by_text("About this photo (optional)").click()
    page.get_by_role("switch", name="Slow network").check()
    page.set_input_files("#choose", ill_photo)
    expect(page.get_by_role("button", name="Send this photo")).to_be_focused()
    found["chosen"] = faults_by(axe, page)
    page.get_by_role("button", name="Send this photo").click()
    expect(page.locator(ANSWER)).to_be_visible()
    for words in ("Every box in words", "About this answer", "Wrong", "Add a remark"):
        page.locator("summary", has_text=words).click()
    found["answered"] = faults_by(axe, page)
    page.get_by_role("button", name="I'll draw it").click()
    page.get_by_role("button", name="Add a box in the middle").click()
    found["drawing"] = faults_by(axe, page)
    page.get_by_role("button", name=re.compile("Send these")).click()
    expect(page.locator(".receipt-words")).to_be_visible()
    found["said"] = faults_by(axe, page)
    page.get_by_role("button", name="Zoom in").click()
    found["zoomed"] = faults_by(axe, page)
    own = page.locator(ANSWER).get_attribute("data-answer")
    for path in (f"/answers/{own}", "/answers", "/nowhere"):
        page.goto(site.address + path)
        found[path] = faults_by(axe, page)
    page.goto(site.address)
    page.set_input_files("#choose", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no photo"})
    page.get_by_role("button", name="Send this photo").click()
    expect(page.get_by_role("alert")).to_be_visible()
    found["refused"] = faults_by(axe, page)
    page.goto(f"{keyed_site.address}/login")
    found["login"] = faults_by(axe, page)
    page.get_by_label("Key", exact=True).fill("lf_wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    found["login refused"] = faults_by(axe, page)
    assert {where: faults for where, faults in found.items() if faults} == {}


# Keyboard


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.labels?.[0]?.innerText || document.activeElement.innerText"))


def tab_to(page: Page, words: str) -> None:
    """Press Tab until `words` has the focus, as somebody would who listens."""
    for _ in range(25):
        page.keyboard.press("Tab")
        if words in focused(page):
            visible = page.evaluate(
                "() => { const e = document.activeElement; const shown = e.matches('.pick-input') ? e.labels[0] : e;"
                " return getComputedStyle(shown).outlineStyle; }"
            )
            assert visible != "none", f"{words}: the focus cannot be seen"
            return
    pytest.fail(f"Tab never reaches {words!r}")


def test_the_whole_way_by_keyboard_alone(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address, **DESKTOP)
    page.on("filechooser", lambda chooser: chooser.set_files(ill_photo))  # the system's own dialog
    page.keyboard.press("Tab")
    assert "Skip to" in focused(page)
    page.keyboard.press("Enter")
    tab_to(page, "Choose a photo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Send this photo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(f"{ANSWER} h2")).to_be_focused()
    tab_to(page, "Zoom in")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Zoom in")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Shift+Tab")  # onto the photo, which the arrow keys move
    window = page.locator("[data-photo-window]")
    expect(window).to_be_focused()
    before = window.evaluate("w => w.scrollLeft")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("was => document.querySelector('[data-photo-window]').scrollLeft > was", arg=before)
    tab_to(page, "Hide boxes")
    tab_to(page, "Every box in words")
    page.keyboard.press("Enter")
    expect(page.get_by_role("table")).to_be_visible()
    tab_to(page, "Check another leaf")
    page.keyboard.press("Enter")
    expect(page.locator("#ask")).to_be_focused()


def test_the_switch_is_worked_by_the_space_bar(site: Site, visit: Visit) -> None:
    page = visit(site.address, **DESKTOP)
    tab_to(page, "Slow network")
    page.keyboard.press("Space")
    expect(page.get_by_role("switch", name="Slow network")).to_be_checked()


# Listening


def test_what_happens_is_said_to_who_listens(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address)
    page.evaluate(
        "() => { window.said = []; const s = document.getElementById('status');"
        " new MutationObserver(() => s.textContent && said.push(s.textContent)).observe(s, {childList: true}); }"
    )
    answered(page, ill_photo)
    said = page.evaluate("window.said")
    assert said[:3] == ["Preparing the photo…", "The photo is ready to send.", "Sending the photo: 0%"]
    assert said[-2:] == ["The photo has arrived. Looking at the leaf…", "The answer is here."]
    assert len(said) <= 9  # it does not talk all the time
    expect(page.locator("#status")).to_have_attribute("aria-live", "polite")


# Fingers and eyes


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_cut_off_and_what_is_tapped_is_large(site: Site, visit: Visit, ill_photo: Path, width: int) -> None:
    page = visit(site.address, viewport={"width": width, "height": 800}, has_touch=True)
    pages = [small_or_cut(page)]
    answered(page, ill_photo)
    pages.append(small_or_cut(page))
    page.goto(f"{site.address}/answers")
    pages.append(small_or_cut(page))
    assert pages == [[], [], []]


def small_or_cut(page: Page) -> list[str]:
    return page.evaluate(  # type: ignore[no-any-return]
        """() => {
          const bad = document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : [];
          for (const e of document.querySelectorAll("a, button, summary, .pick label, .switch-card label")) {
            const box = e.getBoundingClientRect();
            if (box.width && !e.matches(".skip, p a") && box.height < 47.5) bad.push(`${e.innerText}: ${box.height}`);
          }
          return bad;
        }"""
    )


def test_letters_twice_as_large_still_fit(site: Site, visit: Visit) -> None:
    page = visit(site.address)
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_nothing_moves_for_who_asked_for_stillness(site: Site, visit: Visit, ill_photo: Path) -> None:
    for wish, moving in (("reduce", 0), ("no-preference", 1)):
        page = visit(site.address, **PHONE, reduced_motion=wish)
        page.route("**/photos", lambda _route: None)
        page.set_input_files("#choose", ill_photo)
        page.get_by_role("button", name="Send this photo").click()
        page.evaluate("document.getElementById('progress').removeAttribute('value')")
        assert page.evaluate("document.getAnimations().length") == moving
        page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_pages_follow_the_phones_colours(site: Site, visit: Visit, scheme: str, dark: bool) -> None:
    page = visit(site.address, **PHONE, color_scheme=scheme)
    red, green, blue = map(
        int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]
    )
    assert (red + green + blue < 384) is dark


# Kilobytes


def test_every_page_weighs_less_than_100_kilobytes(site: Site, visit: Visit, watched: Watched, ill_photo: Path) -> None:
    page = visit("about:blank")
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    kinds: dict[str, str] = {}
    weights: dict[str, float] = {}
    line.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: e["response"]["url"]}))
    line.on("Network.loadingFinished", lambda e: weights.update({e["requestId"]: e["encodedDataLength"]}))

    def weight() -> float:
        return sum(w for r, w in weights.items() if "/photo" not in kinds[r].removesuffix("/photos"))

    page.goto(site.address, wait_until="networkidle")
    field = weight()
    answered(page, ill_photo)
    page.wait_for_load_state("networkidle")
    assert 5_000 < field < weight() < MAX_WEIGHT
    assert not [url for url in kinds.values() if not url.startswith((site.address, "blob:"))]  # nothing from elsewhere
    assert not [
        url for url in kinds.values() if "/photo?" in url
    ]  # the phone still has the photo: it does not come back
    assert watched.console == []
