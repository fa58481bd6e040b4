"""Every test of the ledger runs on SQLite and on PostgreSQL, every test of the objects on a folder and on two S3 servers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from leafloop.storage.blobs import BlobStore, open_blobs
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Photo, Prediction


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'leafloop.db'}"
    return str(request.getfixturevalue("postgres_url"))


@contextmanager
def other_database(url: str) -> Iterator[str]:
    """An empty one beside another."""
    if url.startswith("sqlite"):
        yield url + ".other"
        return
    server, _, name = url.rpartition("/")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}_other"))
        yield f"{server}/{name}_other"
        connection.execute(text(f"DROP DATABASE {name}_other WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger with the newest schema and no rows."""
    opened = Ledger(database_url)
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture(params=["folder", "moto", "rclone"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    """An empty store."""
    if request.param == "folder":
        return open_blobs((tmp_path / "blobs").as_uri())
    server = request.getfixturevalue(request.param)
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    if request.param == "moto":
        make_bucket(server.endpoint, "leaf")
    return open_blobs(f"s3://leaf/{secrets.token_hex(4)}")


def make_bucket(endpoint: str, name: str) -> None:
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}", method="PUT"), timeout=5).close()


def answer(**changes: object) -> tuple[Photo, Prediction]:
    """A photo and its answer, ready to be recorded."""
    photo = Photo(
        id=f"photo-{secrets.token_hex(8)}", sha256="a" * 64, stored_sha256="b" * 64, media_type="image/jpeg", format="jpeg",
        bytes=2048, width=640, height=480,
    )  # fmt: skip
    values: dict[str, object] = {
        "photo_id": photo.id, "source": "api", "image_path": photo.stored_sha256, "image_size_kb": 2.0, "image_width": 640,
        "image_height": 480, "image_hash": photo.sha256, "outcome": "diseased", "reliable": True, "predicted_class_id": 3,
        "predicted_class_name": "C3", "confidence": 0.8, "bbox_data": [{"class_id": 3}], "model_version": "1", "model_name": "tiny",
        "bundle_hash": "c" * 64, "inference_time_ms": 12.5, "answer": {"success": True, "umlaut": "ä"},
    }  # fmt: skip
    return photo, Prediction(**{**values, **changes})
