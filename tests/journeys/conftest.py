"""Journeys are made on a service that runs, on a fresh home with the bundled model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path / "home")
    running.start()
    yield running
    running.kill()
