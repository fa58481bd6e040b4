"""A review page that is left gives its photos back: nobody waits ten minutes for a lease that nobody uses."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import expect
from tests.web.conftest import Site, Visit
from tests.web.waiting import item_of, logged_in, looking, photos_wait, reviewing


def _leased(site: Site, ids: list[str]) -> list[str]:
    return [one for one in ids if item_of(site, one).leased_until is not None]


def eventually(well: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not well():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_every_photo_in_hand_is_given_back_whenever_the_page_is_left(review_site: Site, visit: Visit) -> None:
    """The one that is looked at and the next one, also with the service worker there, which loads with the first visit."""
    two = photos_wait(review_site, 2)
    page = reviewing(review_site, visit)
    for _ in range(3):
        looking(page)
        eventually(lambda: len(_leased(review_site, two)) == 2)
        page.wait_for_load_state("networkidle")  # the page knows of both
        page.goto(f"{review_site.address}/")
        expect(page.locator("#review")).to_have_count(0)
        eventually(lambda: not _leased(review_site, two))
        page.goto(f"{review_site.address}/review")


def test_a_photo_whose_page_is_gone_before_it_arrives_is_given_back(review_site: Site) -> None:
    (one,) = photos_wait(review_site, 1)
    before = item_of(review_site, one).version
    place = urlsplit(review_site.address)
    with logged_in(review_site) as client:
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
        head = f"GET /review/next.json HTTP/1.1\r\nHost: {place.netloc}\r\nCookie: {cookies}\r\nSec-Fetch-Site: same-origin\r\n\r\n"
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(head.encode())
        eventually(lambda: item_of(review_site, one).version == before + 2)  # taken, and given back
    assert _leased(review_site, [one]) == []
