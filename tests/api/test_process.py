"""The service as its own process: what it prints, what it logs, and how it stops with a photo in hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.conftest import SICK, SICK_LEAF, jpeg

from leafloop import settings
from leafloop.live.parts import open_parts
from leafloop.storage import predictions


@dataclass
class Process:
    child: subprocess.Popen[str]
    address: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def logged(self, request_id: str) -> list[dict[str, Any]]:
        """The request's own lines; the last one is written just after its answer has gone."""
        end = time.monotonic() + 5
        found: list[dict[str, Any]] = []
        while not any(line["event"] == "request" for line in found) and time.monotonic() < end:
            time.sleep(0.05)
            found = [line for line in self.lines() if line.get("request_id") == request_id]
        return found


@pytest.fixture
def process(tiny: Path, tmp_path: Path) -> Iterator[Process]:
    """`leafloop serve` on a free port, in a home that has the tiny model."""
    home, log = tmp_path / "home", tmp_path / "log"
    open_parts(settings.load({"LEAFLOOP_HOME": str(home)}, dotenv=None), bundled=tiny).close()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LEAFLOOP_")}
    environ |= {"LEAFLOOP_HOME": str(home), "LEAFLOOP_LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "leafloop", "serve", "--port", "0"]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True) as child,
    ):
        try:
            assert child.stdout is not None
            words = child.stdout.readline()
            assert words.startswith("Leafloop is ready: "), log.read_text()
            yield Process(child, words.split()[-1], log)
        finally:
            if child.poll() is None:
                child.kill()


def test_one_request_is_one_line_with_its_id_and_route_and_nobodys_words(process: Process) -> None:
    headers = {"X-Request-ID": "seen-in-the-log"}
    answer = httpx.post(
        f"{process.address}/api/v1/predict?group=hunter2", files={"file": ("hunter2.jpg", SICK_LEAF)},
        data={"user_id": "hunter2"}, headers=headers, timeout=30,
    )  # fmt: skip
    assert answer.status_code == 200
    (line,) = [line for line in process.logged("seen-in-the-log") if line["event"] == "request"]
    assert (line["method"], line["route"], line["status"]) == ("POST", "/api/v1/predict", 200)
    assert line["ms"] > 0
    assert line["level"] == "info"
    httpx.get(f"{process.address}/hunter2?hunter2", headers={"X-Request-ID": "lost"})
    (line,) = process.logged("lost")
    assert (line["route"], line["status"], line["code"]) == ("unmatched", 404, "not_found")
    assert "hunter2" not in process.log.read_text()


def test_a_stop_lets_the_photo_in_hand_be_answered(process: Process) -> None:
    answers: list[httpx.Response] = []
    large = jpeg((SICK, (100, 100, 900, 900)), width=4000, height=3000)

    def send() -> None:
        answers.append(httpx.post(f"{process.address}/api/v1/predict", files={"file": large}, timeout=60))

    sender = threading.Thread(target=send)
    sender.start()
    while "leafloop_requests_in_progress 2.0" not in httpx.get(f"{process.address}/metrics").text:
        assert not answers, "the photo was answered before it was seen under way"
    process.child.send_signal(signal.SIGTERM)
    sender.join(60)
    assert [a.status_code for a in answers] == [200]
    assert process.child.wait(30) in (0, -signal.SIGTERM)  # uvicorn ends by the signal that it was stopped with
    parts = open_parts(
        settings.load({"LEAFLOOP_HOME": str(process.log.parent / "home")}, dotenv=None), bundled=Path("none")
    )
    with parts.ledger.reading() as session:
        assert predictions.get(session, answers[0].json()["prediction_id"]) is not None
    parts.close()
