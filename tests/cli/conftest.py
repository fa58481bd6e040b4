"""A command line in a home of its own, run as a person runs it: a process, its stdout, its stderr, its exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.commands import Commands, commands


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


@pytest.fixture(scope="session")
def forking() -> Iterator[Commands]:
    with commands() as started:
        yield started


@pytest.fixture
def leafloop(home: Path, tmp_path: Path, forking: Commands) -> Leafloop:
    """`leafloop(*words, **environment)` runs the command in its own home and folder."""

    def run(*words: str | Path, **more: str) -> Done:
        others = {name: value for name, value in os.environ.items() if not name.startswith("LEAFLOOP_")}
        return Done(
            *forking.run([str(word) for word in words], tmp_path, others | {"LEAFLOOP_HOME": str(home), **more})
        )

    return run
