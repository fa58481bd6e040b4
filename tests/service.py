"""A service as a stranger starts it: `leafloop serve` in a home of its own, a real process that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from tests import commands
from tests.commands import Done

_BRING = "import sys, pathlib; from leafloop import settings; from leafloop.live.parts import open_store; \
open_store(settings.load(dotenv=None), bundled=pathlib.Path(sys.argv[1])).close()"


class Service:
    """`start`, `kill` and `start` again; `http` speaks to the one that runs, `run` runs a command on the same home.

    `environ` are its own variables (`LEAFLOOP_DATABASE_URL`, `AWS_*`, `TMPDIR`, ...), which may be changed between two starts.
    It keeps its port, so that clients who are told to come again find it.
    """

    def __init__(self, home: Path, environ: Mapping[str, str] | None = None, *, log: Path | None = None) -> None:
        self.home, self.environ = home, dict(environ or {})
        self._log = log or home.parent / "service.log"
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self._http: httpx.Client | None = None

    @property
    def http(self) -> httpx.Client:
        assert self._http is not None, "the service was not started"
        return self._http

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the service does not run"
        return self._process

    @property
    def _environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LEAFLOOP_")}
        basic = {"LEAFLOOP_HOME": str(self.home), "LEAFLOOP_PORT": str(self._port), "LEAFLOOP_LOG_FORMAT": "json"}
        return own | basic | self.environ

    def start(self, *wrapper: str) -> None:
        """Start it, under a command such as `prlimit --fsize=2000000` if one is given, and wait until it is ready."""
        said = self._begin(*wrapper)
        assert said.startswith("Leafloop is ready: "), self.log()
        address = httpx.URL(said.removeprefix("Leafloop is ready: ").strip())
        self._port = address.port or 0
        self._http = httpx.Client(base_url=address, timeout=60)

    def refused(self, *wrapper: str) -> int:
        """Start it where it has to refuse: its exit code. What it said is in `log()`."""
        said = self._begin(*wrapper)
        assert said == "", said
        return self.ended()

    def _begin(self, *wrapper: str) -> str:
        command = [*wrapper, sys.executable, "-m", "leafloop", "serve"]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, env=self._environ, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal: its exit code. One that does not run is no error."""
        if self._process is None:
            return 0
        self._process.send_signal(sign)
        return self.ended()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def ended(self, within: float = 30) -> int:
        """Wait for its end: the exit code."""
        code = self.process.wait(within)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._process = None
        if self._http is not None:
            self._http.close()
        return code

    def bring(self, bundle: Path) -> None:
        """Give a fresh home its first model in the place of the bundled one. A database server has to have its schema."""
        command = [sys.executable, "-c", _BRING, str(bundle)]
        done = subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr

    def run(self, *words: str) -> Done:
        """`leafloop ...` on this home, however it ends."""
        return commands.leafloop(words, self._environ, Path.cwd())

    def leafloop(self, *words: str) -> str:
        """`leafloop ...` on this home, which has to go well: its stdout."""
        done = self.run(*words)
        assert done.code == 0, done.err
        return done.out

    def log(self) -> str:
        return self._log.read_text("utf-8")

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one event."""
        lines = (json.loads(line) for line in self.log().splitlines() if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]
