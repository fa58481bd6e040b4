"""A whole service with a tiny model, under a real uvicorn; and the cast: a phone, an agronomist, an engineer, an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import structlog
from fastapi import FastAPI
from tests.api.serving import client_of
from tests.tiny_models import photo, tiny_bundle

from leafloop import access, settings
from leafloop.app import create_app
from leafloop.live.parts import Parts, open_parts

SICK = 2  # a colour of the tiny model; its class name comes from the taxonomy
NO_MODEL = Path("/no-such-folder")  # a service without a model starts a second sooner, for tests that ask for no answer


def jpeg(*blobs: tuple[int, tuple[int, int, int, int]], width: int = 640, height: int = 480) -> bytes:
    """A photo as a phone sends it, with rectangles that the tiny model finds."""
    ok, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(photo(width, height, *blobs)[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95]
    )
    assert ok
    return data.tobytes()


SICK_LEAF = jpeg((SICK, (100, 100, 220, 200)), (SICK, (300, 250, 380, 330)))


@dataclass
class Service:
    """A running service: its parts, a client without a key, and clients with keys."""

    app: FastAPI
    parts: Parts
    client: httpx.Client
    ids: dict[str, str] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)

    def key(self, role: str, name: str | None = None) -> dict[str, str]:
        """Headers with a key of a role; the same name is the same key."""
        name = name or role
        if name not in self._keys:
            with self.parts.ledger.transaction() as session:
                self.ids[name], self._keys[name] = access.create_key(session, role, name)
        return {"Authorization": f"Bearer {self._keys[name]}"}

    def predict(
        self, data: bytes = SICK_LEAF, *, headers: dict[str, str] | None = None, **fields: str
    ) -> httpx.Response:
        return self.client.post("/api/v1/predict", files={"file": ("leaf.jpg", data)}, data=fields, headers=headers)


Start = Callable[..., Service]


@pytest.fixture(scope="session", autouse=True)
def _plain_log() -> Iterator[None]:
    """Tracebacks as the service writes them: structlog's own default paints every local variable, which takes seconds."""
    log_as = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, log_as]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model's bundle."""
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    tiny_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def start(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """`start(LEAFLOOP_X=...)` begins a service in a home of its own; `prepare` may change the application first."""
    with ExitStack() as running:

        def begin(
            *, prepare: Callable[[FastAPI], Any] | None = None, bundled: Path = tiny, **environment: str
        ) -> Service:
            home = str(tmp_path_factory.mktemp("home"))
            # Many tests ask quickly; those about limits set their own.
            generous = {
                "LEAFLOOP_RATE_LIMIT": "100000/minute",
                "LEAFLOOP_PREDICT_RATE_LIMIT": "100000/minute",
                "LEAFLOOP_FEEDBACK_RATE_LIMIT": "100000/minute",
            }
            told = settings.load({"LEAFLOOP_HOME": home, **generous, **environment}, dotenv=None)
            parts = open_parts(told, bundled=bundled)
            app = create_app(told, parts=parts)
            if prepare is not None:
                prepare(app)
            return Service(app, parts, running.enter_context(client_of(app)))

        yield begin


@pytest.fixture(scope="module")
def open_service(start: Start) -> Service:
    """No key was ever made: the service is open on its own machine."""
    return start()


@pytest.fixture(scope="module")
def service(start: Start) -> Service:
    """A service with keys."""
    begun = start()
    for role in access.ROLES:
        begun.key(role)
    return begun
