"""A command line in a home of its own, run as a person runs it: a process, its stdout, its stderr, its exit code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import commands
from tests.commands import Done

Leafloop = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def leafloop(home: Path, tmp_path: Path) -> Leafloop:
    """`leafloop(*words, **environment)` runs the command in its own home and folder."""

    def run(*words: str | Path, **more: str) -> Done:
        others = {name: value for name, value in os.environ.items() if not name.startswith("LEAFLOOP_")}
        return commands.leafloop(words, others | {"LEAFLOOP_HOME": str(home), **more}, tmp_path)

    return run
