"""The service with its pages in a thread, and a real Chromium that visits it: as a phone, as a desktop, without scripts."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import func, select
from tests import tiny_models
from tests.api.serving import served
from tests.browser import WAIT_MS

from leafloop import access
from leafloop.app import create_app
from leafloop.live.parts import Parts, open_parts
from leafloop.settings import Settings
from leafloop.storage.tables import Prediction

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}


@dataclass(frozen=True)
class Site:
    """A running service."""

    address: str
    parts: Parts

    def rows(self) -> int:
        """How many answers are stored."""
        with self.parts.ledger.transaction() as session:
            return session.scalar(select(func.count()).select_from(Prediction)) or 0

    def newest(self) -> Prediction:
        with self.parts.ledger.transaction() as session:
            return session.scalars(select(Prediction).order_by(Prediction.timestamp.desc())).first()

    def key(self, role: str = "field", label: str = "") -> tuple[str, str]:
        with self.parts.ledger.transaction() as session:
            return access.create_key(session, role, label)

    def revoke(self, key_id: str) -> None:
        with self.parts.ledger.transaction() as session:
            access.revoke_key(session, key_id, actor="cli", reason="phone lost")


def _running(home: Path, *, with_key: bool, **changes: Any) -> Iterator[Site]:
    tiny_models.tiny_bundle(home / "tiny")
    settings = Settings(home=home, rate_limit="100000/minute", predict_rate_limit="100000/minute", **changes)
    parts = open_parts(settings, bundled=home / "tiny")
    if with_key:  # the first key closes the open service
        with parts.ledger.transaction() as session:
            access.create_key(session, "operator", "first")
    with served(create_app(settings, parts=parts)) as address:
        yield Site(address, parts)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Open: loopback, and no key was made."""
    yield from _running(tmp_path_factory.mktemp("open"), with_key=False)


@pytest.fixture(scope="session")
def keyed_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Closed: a key is needed."""
    yield from _running(tmp_path_factory.mktemp("keyed"), with_key=True)


@dataclass
class Watched:
    """What a browser complained about while a test ran."""

    console: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # uncaught errors, and what the content security policy stopped

    def watch(self, page: Page) -> None:
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.broken.append(str(error)))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.console.append(text)
            if "Content Security Policy" in text:
                self.broken.append(text)


@pytest.fixture
def watched() -> Iterator[Watched]:
    seen = Watched()
    yield seen
    assert seen.broken == []


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser, watched: Watched) -> Iterator[Visit]:
    """`visit(address, **context options)` opens a page in a browser of its own; a phone unless told otherwise."""
    contexts: list[BrowserContext] = []

    def open_page(address: str, **options: Any) -> Page:
        context = chromium.new_context(locale="en-GB", timezone_id="Africa/Kampala", **(options or PHONE))
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        watched.watch(page)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()


def jpeg(
    width: int = 512,
    height: int = 512,
    *blobs: tuple[int, tuple[int, int, int, int]],
    grain: int = 0,
    quality: int = 95,
) -> bytes:
    """A photo for the tiny detector. `grain` adds noise, so that it has a real photo's weight in bytes."""
    pixels = tiny_models.photo(width, height, *blobs).astype(np.int16)
    if grain:
        pixels += np.random.default_rng(5).integers(-grain, grain + 1, pixels.shape, np.int16)
    out = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


# Class 4 is the worst of the two: it sets the stage. The places are told apart in words.
ILL = ((4, (40, 40, 120, 100)), (2, (400, 420, 480, 470)))


@pytest.fixture(scope="session")
def ill_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "leaf.jpg"
    path.write_bytes(jpeg(512, 512, *ILL, grain=4))
    return path


@pytest.fixture(scope="session")
def big_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2000 x 1500 pixels, 7 MB: worth shrinking, and more than a system takes from a browser before any of it has arrived."""
    path = tmp_path_factory.mktemp("photos") / "big.jpg"
    path.write_bytes(jpeg(2000, 1500, (4, (200, 200, 700, 600)), grain=16, quality=100))
    return path


@pytest.fixture(scope="session")
def review_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Closed, for reviewers; nothing is queued or asked twice by chance, so that a test says what waits."""
    home = tmp_path_factory.mktemp("review")
    yield from _running(home, with_key=True, review_random_share=0.0, review_second_share=0.0)
