"""A ledger, an object store and decoders for what is learnt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from tests.learning.said import an_answer, tried_out

from leafloop.learning.datasets.intake import Place
from leafloop.storage.blobs import LocalBlobs
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Prediction
from leafloop.vision.decoders import Decoders
from leafloop.vision.photo import PhotoLimits


@pytest.fixture(scope="session")
def decoders() -> Iterator[Decoders]:
    """Started once: a child takes longer to start than to read all photos here."""
    with Decoders(PhotoLimits()) as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path, decoders: Decoders) -> Iterator[Place]:
    """Where a dataset goes, empty."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.upgrade()
    yield Place(ledger, LocalBlobs(tmp_path / "blobs"), decoders)
    ledger.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either_place(request: pytest.FixtureRequest, tmp_path: Path, decoders: Decoders) -> Iterator[Place]:
    """The same on both databases."""
    url = (
        f"sqlite:///{tmp_path / 'ledger.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    ledger = Ledger(url)
    ledger.upgrade()
    yield Place(ledger, LocalBlobs(tmp_path / "blobs"), decoders)
    ledger.close()


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger of the module: tests that keep nothing share it (`session`)."""
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'leafloop.db'}")
    ledger.upgrade()
    yield ledger
    ledger.close()


@pytest.fixture
def session(sqlite: Ledger) -> Iterator[Session]:
    """A transaction of which nothing is kept."""
    with tried_out(sqlite) as opened:
        yield opened


@pytest.fixture
def prediction(session: Session) -> Prediction:
    return an_answer(session)
