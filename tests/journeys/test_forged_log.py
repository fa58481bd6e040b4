"""What strangers send cannot write into the log: one line an event, in both forms, whatever a request is made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import hostile
from tests.api.serving import raw
from tests.service import Service

FORGED = "x\r\n2026-01-01T00:00:00Z [error] forged\u2028\u202egpj\x1b[2J"
EVENT = re.compile(r"2\d{3}-\d\d-\d\dT\S+Z \[\w+ *\] \S")


@pytest.fixture(params=["json", "human"])
def logged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Service]]:
    service = Service(tmp_path / "home", {"LEAFLOOP_LOG_FORMAT": request.param})
    service.start()
    yield request.param, service
    service.stop()


def test_one_line_an_event_whatever_is_sent(logged: tuple[str, Service]) -> None:
    form, service = logged
    encoded = FORGED.encode().hex(" ").replace(" ", "%")
    http = service.http
    safe = {
        "User-Agent": FORGED.encode("unicode_escape"),
        "X-Request-ID": "a%0d%0ab",
        "Origin": "http://x/\u2028".encode(),
    }
    http.get(f"/%{encoded}?q=%{encoded}", headers=safe)
    http.get(f"/api/v1/db/predictions/%{encoded}", headers=safe)
    http.post("/api/v1/predict", headers=safe, files={"file": (FORGED, hostile.jpeg())}, data={"user_id": FORGED})
    http.post("/api/v1/predict", files={"file": (FORGED, hostile.PICKLE)}, data={"group": FORGED})
    http.get("/api/v1/db/predictions", headers={"Authorization": "Bearer \u2028\x9b2J".encode()})
    address = str(http.base_url).rstrip("/")
    for line in (
        b"X-Request-ID: a\x1b[2Jb",
        b"X-Request-ID: a\nforged: b",
        b"User-Agent: \xe2\x80\xa8",
        b"Origin: \xe2\x80\xae",
    ):
        raw(
            address,
            b"POST /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + line + b"\r\n\r\n",
            timeout=5,
        )
    raw(address, b"GET /\x1b[2J\xe2\x80\xa8 HTTP/1.1\r\nHost: localhost\r\n\r\n", timeout=5)
    service.stop()
    lines = service.log().split("\n")[:-1]
    assert len(lines) >= 8
    assert not set("".join(lines)) & set("\r\x1b\x9b\u2028\u202e")
    assert not [line for line in lines if line.startswith("2026-01-01")]
    for line in lines:
        assert isinstance(json.loads(line), dict) if form == "json" else EVENT.match(line), line
