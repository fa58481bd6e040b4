"""A command line in a home of its own, run as a person runs it: a process, its stdout, its stderr, its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Leafloop = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def leafloop(home: Path, tmp_path: Path) -> Leafloop:
    """`leafloop(*words, **environment)` runs the command in its own home and folder."""

    def run(*words: str | Path, **more: str) -> Done:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("LEAFLOOP_")} | {
            "LEAFLOOP_HOME": str(home),
            **more,
        }
        command = [sys.executable, "-m", "leafloop", *map(str, words)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run
