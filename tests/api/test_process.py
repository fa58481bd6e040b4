"""The service as its own process: what it prints, what it logs, and how it stops, with and without a photo in hand."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.conftest import SICK_LEAF

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


Begin = Callable[..., Process]


@pytest.fixture
def begin(tiny: Path, tmp_path: Path) -> Iterator[Begin]:
    """`begin(LEAFLOOP_X=...)`: `leafloop serve` on a free port, in a home that has the tiny model."""
    home, log = tmp_path / "home", tmp_path / "log"
    open_parts(settings.load({"LEAFLOOP_HOME": str(home)}, dotenv=None), bundled=tiny).close()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LEAFLOOP_")}
    environ |= {"LEAFLOOP_HOME": str(home), "LEAFLOOP_LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "leafloop", "serve", "--port", "0"]
    with ExitStack() as running:

        def start(**told: str) -> Process:
            errors = running.enter_context(log.open("w"))
            child = running.enter_context(
                subprocess.Popen(
                    command, cwd=tmp_path, env=environ | told, stdout=subprocess.PIPE, stderr=errors, text=True
                )
            )
            running.callback(child.kill)  # of one that has ended it is no news
            assert child.stdout is not None
            words = child.stdout.readline()
            assert words.startswith("Leafloop is ready: "), log.read_text()
            return Process(child, words.split()[-1], log)

        yield start


@pytest.fixture
def process(begin: Begin) -> Process:
    return begin()


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


def kept(process: Process, prediction_id: str) -> bool:
    home = str(process.log.parent / "home")
    parts = open_parts(settings.load({"LEAFLOOP_HOME": home}, dotenv=None), bundled=Path("none"))
    with parts.ledger.reading() as session:
        found = predictions.get(session, prediction_id) is not None
    parts.close()
    return found


class Upload:
    """A photo of which half has been sent; `finish` sends the rest and reads the answer."""

    def __init__(self, process: Process) -> None:
        host, port = process.address.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        head = f"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {len(SICK_LEAF)}"
        self._socket.sendall(head.encode() + b"\r\nExpect: 100-continue\r\n\r\n")
        go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert self._socket.recv(len(go_on), socket.MSG_WAITALL)[:12] == go_on[:12]  # it is under way
        self._rest = SICK_LEAF[len(SICK_LEAF) // 2 :]
        self._socket.sendall(SICK_LEAF[: -len(self._rest)])

    def finish(self) -> tuple[int, dict[str, Any]]:
        self._socket.sendall(self._rest)
        with self._socket, self._socket.makefile("rb") as file:
            status = int(file.readline().split()[1])
            return status, json.loads(file.read().split(b"\r\n\r\n", 1)[1])

    def close(self) -> None:
        self._socket.close()


def wait_until_stopping(process: Process) -> httpx.Response:
    end = time.monotonic() + 20
    while (answer := httpx.get(f"{process.address}/ready")).status_code == 200:
        assert time.monotonic() < end, "the service does not stop"
    return answer


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=lambda sign: sign.name)
def test_while_it_stops_an_upload_may_end_and_no_new_photo_is_taken(process: Process, sign: signal.Signals) -> None:
    upload = Upload(process)
    process.child.send_signal(sign)
    ready = wait_until_stopping(process)
    assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
    assert ready.json()["database"]["state"] == "up"
    for path in ("/api/v1/predict", "/api/v1/predict/classify/debug"):
        refused = httpx.post(f"{process.address}{path}", files={"file": SICK_LEAF})
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["connection"] == "close"
    page = httpx.post(f"{process.address}/photos", files={"file": SICK_LEAF}, headers={"Accept": "text/html"})
    assert page.status_code == 503
    status, said = upload.finish()
    assert status == 200
    assert process.child.wait(15) == 0
    assert kept(process, said["prediction_id"])
    assert "Traceback" not in process.log.read_text()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=lambda sign: sign.name)
def test_a_second_signal_ends_it_at_once(process: Process, sign: signal.Signals) -> None:
    upload = Upload(process)
    process.child.send_signal(sign)
    wait_until_stopping(process)
    process.child.send_signal(sign)
    assert process.child.wait(5) == -sign  # long before the upload would have been given up
    upload.close()


def test_with_nothing_under_way_it_ends_at_once(process: Process) -> None:
    httpx.get(f"{process.address}/ready")
    process.child.send_signal(signal.SIGTERM)
    assert process.child.wait(15) == 0
    assert "Traceback" not in process.log.read_text()


def test_load_balancers_get_the_time_to_see_it_stop(begin: Begin) -> None:
    process = begin(LEAFLOOP_DRAIN_SECONDS="1.5")
    began, seen = time.monotonic(), 0
    process.child.send_signal(signal.SIGTERM)
    wait_until_stopping(process)
    while process.child.poll() is None:
        try:
            answer = httpx.get(f"{process.address}/ready", timeout=5)
        except httpx.TransportError:
            break
        assert (answer.status_code, answer.headers["connection"]) == (503, "close")
        seen += 1
    assert process.child.wait(15) == 0
    assert time.monotonic() - began >= 1.5
    assert seen > 3


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux tells another process's limits")
def test_it_takes_as_many_descriptors_as_the_system_allows(process: Process) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert resource.prlimit(process.child.pid, resource.RLIMIT_NOFILE) == (most, most)
