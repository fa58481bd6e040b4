"""The pages speak English, Spanish and Filipino: all of them, all their words, and it is said where nobody has read a translation."""

from __future__ import annotations

import gettext as library
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from jinja2 import nodes
from playwright.sync_api import expect
from tests.conftest import ROOT
from tests.web.conftest import PHONE, Site, Visit
from tests.web.test_for_everybody import small_or_cut

from leafloop import taxonomy
from leafloop.web import languages
from leafloop.web.rendering import environment

BANANA = taxonomy.load()
OTHERS = [code for code in languages.LANGUAGES if code != languages.ENGLISH]
PLACEHOLDERS = re.compile(r"%\(\w+\)s|%%|\{\w+\}")
# The same in every language: our name, a unit, the name of a clock.
SAME = {"Leafloop", "UTC"}


@pytest.fixture(scope="module")
def texts() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import texts as made
    finally:
        sys.path.pop(0)
    return made


# The catalogues


def test_the_catalogues_are_current(texts: ModuleType) -> None:
    assert [str(path.relative_to(ROOT)) for path in texts.stale()] == [], "run 'make texts'"


def test_every_text_is_translated(texts: ModuleType) -> None:
    assert texts.missing() == [], (
        "write them into src/leafloop/locales/*/LC_MESSAGES/leafloop.po, then run 'make texts'"
    )


@pytest.mark.parametrize("code", OTHERS)
def test_placeholders_agree(texts: ModuleType, code: str) -> None:
    for message in texts.updated(code, texts.collected()):
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        said = message.string if isinstance(message.string, tuple) else (message.string,)
        for one in said:
            assert sorted(PLACEHOLDERS.findall(one)) == sorted(PLACEHOLDERS.findall(ids[-1])), one


@pytest.mark.parametrize("code", OTHERS)
def test_plurals_and_who_has_read_it_are_in_the_compiled_catalogue(code: str) -> None:
    with (languages.LOCALES / code / "LC_MESSAGES" / "leafloop.mo").open("rb") as file:
        compiled = library.GNUTranslations(file)
    assert compiled.info()["x-read-by"]
    assert "%(num)s" in compiled.ngettext("%(num)s place", "%(num)s places", 1)
    assert compiled.ngettext("%(num)s place", "%(num)s places", 5) != "%(num)s places"


@pytest.mark.parametrize("code", OTHERS)
def test_classes_and_advice_have_words_in_every_language(code: str) -> None:
    assert BANANA.crop_in(code)
    assert code in BANANA.called
    for one in BANANA.classes:
        assert one.title[code] != one.title["en"]
        assert BANANA.advice.texts[one.name][code] != BANANA.advice.texts[one.name]["en"]


# The templates

ATTRIBUTES = {"alt", "title", "aria-label", "placeholder", "aria-description"}
TEMPLATES = sorted(path.name for path in (Path(languages.LOCALES).parent / "web/templates").glob("*.html"))


class Words(HTMLParser):
    """What a person reads of a page: texts, and attributes that are read out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("script", "style", "code")
        self.found += [value for name, value in attrs if name in ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "code")

    def handle_data(self, data: str) -> None:
        if self._silent <= 0:
            self.found.append(data)


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_word_of_a_template_is_outside_gettext(name: str) -> None:
    env = environment()
    assert env.loader is not None
    tree = env.parse(env.loader.get_source(env, name)[0])
    # What comes out of an expression is data or went through gettext: a digit in its place keeps the HTML whole.
    source = "".join(
        part.data if isinstance(part, nodes.TemplateData) else "0"
        for output in tree.find_all(nodes.Output)
        for part in output.nodes
    )
    words = Words()
    words.feed(source.replace(' aria-current="page"', ""))  # of a block that stands within a tag of the frame
    bare = {word for text in words.found for word in re.findall(r"[^\W\d_]{2,}", text)}
    assert bare - SAME == set()


# Which language


@pytest.mark.parametrize(
    ("accepted", "spoken"),
    [
        ("", "en"),
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("fil-PH,fil;q=0.9,en-US;q=0.8", "fil"),
        ("tl", "fil"),
        ("de,fr;q=0.9", "en"),
        ("de,es;q=0.5,en;q=0.4", "es"),
        ("en;q=0.2,es;q=0.1", "en"),
        ("es;q=0", "en"),
        ("es;q=x, fil", "fil"),
        (";;;,,,=", "en"),
    ],
)
def test_the_browsers_wish_is_heard(accepted: str, spoken: str) -> None:
    assert languages.best_of(accepted) == spoken


def page(site: Site, path: str = "/", **headers: str) -> httpx.Response:
    return httpx.get(site.address + path, headers={"accept": "text/html", **headers}, timeout=30)


def test_a_choice_goes_before_the_browsers_wish_and_is_remembered(site: Site) -> None:
    wished = page(site, **{"accept-language": "fil"})
    assert '<html lang="fil">' in wished.text
    assert "set-cookie" not in wished.headers
    chosen = page(site, "/?lang=es", **{"accept-language": "fil"})
    assert '<html lang="es">' in chosen.text
    cookie = chosen.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    again = page(site, **{"accept-language": "fil", "cookie": cookie.split(";")[0]})
    assert '<html lang="es">' in again.text


@pytest.mark.parametrize("wrong", ["xx", "", "../../etc", "%00", "e" * 4000])
def test_a_language_that_we_do_not_have_changes_nothing(site: Site, wrong: str) -> None:
    found = page(site, f"/?lang={wrong}")
    assert '<html lang="en">' in found.text
    assert "set-cookie" not in found.headers


def test_requests_at_once_do_not_mix_their_languages(site: Site) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def ask(number: int) -> bool:
        code = list(languages.LANGUAGES)[number % 3]
        return f'<html lang="{code}">' in page(site, "/answers", **{"accept-language": code}).text

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(ask, range(30)))


def test_where_nobody_has_read_a_translation_the_page_says_so_in_that_language(site: Site) -> None:
    said = "Nobody who speaks this language"
    assert said not in page(site).text
    for code in OTHERS:
        found = page(site, f"/?lang={code}").text
        assert said not in found
        assert (
            languages.translations(code).gettext(
                "Nobody who speaks this language from home has read these words yet. Tell us where they are wrong."
            )
            in found
        )


def test_somebody_who_has_read_it_is_believed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    spanish = languages.translations("es")
    monkeypatch.setattr(spanish, "_info", {**spanish.info(), "x-read-by": "Lucía Fernández"})
    assert "desde la cuna" not in page(site, "/?lang=es").text


# In a browser


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("code", OTHERS)
def test_the_whole_way_on_a_phone_in_another_language(
    site: Site, visit: Visit, ill_photo: Path, code: str, width: int
) -> None:
    said = languages.translations(code).gettext
    small: dict[str, Any] = {**PHONE, "viewport": {"width": width, "height": 844}}
    found = visit(site.address, **small)
    found.get_by_role("link", name=languages.LANGUAGES[code]).click()
    expect(found.locator("html")).to_have_attribute("lang", code)
    assert small_or_cut(found) == []
    found.set_input_files("#choose", ill_photo)
    expect(found.locator("#status")).to_have_text(said("The photo is ready to send."))  # a text of the script's
    found.get_by_role("button", name=said("Send this photo")).click()
    expect(found.locator("[data-answer] h2").first).to_have_text(BANANA.title(4, code))
    expect(found.locator(".advice-words")).to_have_text(BANANA.advice_for(4, code) or "?")
    assert small_or_cut(found) == []
    found.goto(f"{site.address}/answers")
    expect(found.get_by_role("heading", level=1)).to_have_text(said("Your answers"))
    assert small_or_cut(found) == []
    found.goto(f"{site.address}/nowhere")
    expect(found.get_by_role("heading", level=1)).to_have_text(said("Nothing grows here"))
