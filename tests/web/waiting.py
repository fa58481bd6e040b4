"""Photos that wait for a review, reviewers who are logged in, and what the review page says, for its tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
from playwright.sync_api import Page, expect
from sqlalchemy import delete, select
from tests.web.conftest import DESKTOP, Site, Visit, jpeg

from leafloop.learning.review import worth
from leafloop.learning.review.worth import Reason
from leafloop.storage.tables import Prediction, Review, ReviewItem, TrainingData

HTML = {"accept": "text/html", "sec-fetch-site": "same-origin"}
JSON = {"accept": "application/json", "sec-fetch-site": "same-origin"}
STAGE, SMALL, SIZE = 4, 2, 512
LESIONS = ((STAGE, (40, 40, 120, 100)), (SMALL, (400, 420, 480, 470)))


@contextmanager
def logged_in(site: Site, role: str = "reviewer", label: str = "") -> Iterator[httpx.Client]:
    """A client with the cookie of a new key."""
    with httpx.Client(base_url=site.address, headers=JSON, timeout=30) as client:
        client.post("/login", data={"key": site.key(role, label)[1], "following": "/"}, headers=HTML)
        yield client


def photos_wait(
    site: Site, number: int, *, lesions: Any = LESIONS, code: str = "confirmation", **more: Any
) -> list[str]:
    """Empty the queue and put `number` new answers into it, which the model got right; their ids, in the order of the queue."""
    with logged_in(site, "field") as sender:
        pictures = [jpeg(SIZE, SIZE, *lesions, grain=2 + n % 3, quality=80 + n % 16) for n in range(number)]
        files = [
            {"file": (f"{n}.jpg", picture + uuid4().bytes)} for n, picture in enumerate(pictures)
        ]  # no two are one photo
        sent = [sender.post("/photos", files=file, headers=HTML).headers["location"] for file in files]
    ids = [place.removeprefix("/answers/") for place in sent]
    with site.parts.ledger.transaction() as session:
        session.execute(delete(ReviewItem))
        for prediction_id in ids:
            worth.enqueue(session, prediction_id, [Reason(code, None)], **more)
    return ids


def wait_for(site: Site, prediction_id: str, *reasons: Reason, due_at: datetime | None = None) -> None:
    with site.parts.ledger.transaction() as session:
        worth.enqueue(session, prediction_id, reasons, due_at=due_at)


def reviewing(site: Site, visit: Visit, label: str = "Ines", path: str = "/review", **device: Any) -> Page:
    """A browser of a reviewer with a key of their own, at the first photo."""
    with logged_in(site, label=label) as client:
        cookies = [{"name": one.name, "value": one.value, "url": site.address} for one in client.cookies.jar]
    page = visit("about:blank", **(device or DESKTOP))
    page.context.add_cookies(cookies)
    page.goto(site.address + path)
    return page


def looking(page: Page) -> str:
    """Wait for a photo to be in hand: the id of its answer."""
    expect(page.locator("#review")).to_have_attribute("data-state", "looking")
    return shown(page)


def shown(page: Page) -> str:
    source = page.locator("#photo img").get_attribute("src") or ""
    return source.split("/")[2]


def decided(page: Page, before: str) -> None:
    """Wait until another photo is there, or none is left."""
    page.wait_for_function(
        "was => { const i = document.querySelector('#photo img'); return !i || !i.src.includes(was); }", arg=before
    )


def labels(site: Site) -> dict[str, TrainingData]:
    """The labels by the id of the answer that they came of."""
    with site.parts.ledger.reading() as session:
        joined = select(Prediction.id, TrainingData).join(
            TrainingData, TrainingData.image_hash == Prediction.image_hash
        )
        return {row[0]: row[1] for row in session.execute(joined)}


def reviews(site: Site, prediction_id: str) -> list[Review]:
    """What was decided and stands, oldest first."""
    with site.parts.ledger.reading() as session:
        stands = select(Review).where(Review.prediction_id == prediction_id, Review.undone_at.is_(None))
        return list(session.scalars(stands.order_by(Review.created_at)))


def item_of(site: Site, prediction_id: str) -> ReviewItem:
    with site.parts.ledger.reading() as session:
        return session.scalars(select(ReviewItem).where(ReviewItem.prediction_id == prediction_id)).one()


def arrived(page: Page) -> None:
    """Wait until no decision is under way."""
    page.wait_for_function(
        "() => Object.keys(localStorage).filter((name) => name.endsWith('.review.decisions')).every((name) => localStorage[name] === '[]')"
    )


def press_and_time(page: Page, key: str, before: str | None = None) -> float:
    """Milliseconds from a key's going down until what it did is painted; with `before`, until another photo is."""
    page.evaluate(
        """was => { window.painted = new Promise(done => addEventListener("keydown", () => {
          const pressed = performance.now();
          const look = () => requestAnimationFrame(() => {
            const photo = document.querySelector("#photo img");
            if (was && (!photo || photo.src.includes(was) || !photo.complete)) return look();
            // After the frame: what comes then waits for its paint.
            const channel = new MessageChannel();
            channel.port1.onmessage = () => done(performance.now() - pressed);
            channel.port2.postMessage(null);
          });
          look();
        }, {capture: true, once: true})); }""",
        before,
    )
    page.keyboard.press(key)
    return round(page.evaluate("window.painted"), 1)
