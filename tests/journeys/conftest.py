"""A service as a stranger starts it: `leafloop serve` in a home of its own, a real process that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest


class Service:
    """`start`, `kill` and `start` again; `http` speaks to the one that runs, `leafloop` runs a command on the same home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._process: subprocess.Popen[str] | None = None
        self._http: httpx.Client | None = None

    @property
    def http(self) -> httpx.Client:
        assert self._http is not None, "the service was not started"
        return self._http

    @property
    def _environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LEAFLOOP_")}
        return own | {"LEAFLOOP_HOME": str(self.home), "LEAFLOOP_PORT": "0", "LEAFLOOP_LOG_FORMAT": "json"}

    def start(self) -> None:
        command = [sys.executable, "-m", "leafloop", "serve"]
        log = (self.home.parent / "service.log").open("a")
        self._process = subprocess.Popen(command, env=self._environ, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said.startswith("Leafloop is ready: "), (self.home.parent / "service.log").read_text()
        self._http = httpx.Client(base_url=said.removeprefix("Leafloop is ready: ").strip(), timeout=60)

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        if self._process is None:
            return 0
        self.http.close()
        self._process.send_signal(sign)
        code = self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def leafloop(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "leafloop", *words], env=self._environ, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self) -> str:
        return (self.home.parent / "service.log").read_text("utf-8")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service that runs, on a fresh home with the bundled model."""
    running = Service(tmp_path / "home")
    running.start()
    yield running
    running.stop(signal.SIGKILL)
