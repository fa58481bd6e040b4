"""A whole service below HTTP in a home of its own, with real tiny models.

`rgb` and `bgr` are two models that tell red and blue the other way round: whatever mixes them shows.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import func, select
from tests import tiny_models

from leafloop.learning import registry
from leafloop.live.answering import Answering, Sender, Submission
from leafloop.live.once import patiently
from leafloop.live.parts import Parts, open_parts
from leafloop.settings import Settings
from leafloop.storage.tables import Photo, Prediction
from leafloop.vision.bundle import Bundle
from leafloop.vision.reader import Reader

RED, BLUE = 1, 2  # class ids
FE = Sender("fekey123", "field", "fe")


@pytest.fixture(scope="session")
def rgb(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_models.tiny_bundle(tmp_path_factory.mktemp("bundles") / "rgb", name="rgb")


@pytest.fixture(scope="session")
def bgr(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    swapped = {"model.onnx": tiny_models.detector(colour_order="bgr")}
    return tiny_models.tiny_bundle(tmp_path_factory.mktemp("bundles") / "bgr", swapped, name="bgr")


_loaded: dict[tuple[str, Any], Reader] = {}


def load_once(bundle: Bundle, **how: Any) -> Reader:
    """A real model, compiled once for all tests: compiling takes longer than all else that they do."""
    key = (bundle.hash, tuple(how.items()))
    if key not in _loaded:
        _loaded[key] = Reader(bundle, **how)
    return _loaded[key]


@pytest.fixture(autouse=True)
def _compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leafloop.live.parts.Reader", load_once)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", pointer_poll_seconds=0.05, inference_threads=1, precision="f32")


@pytest.fixture
def parts(settings: Settings, rgb: Bundle) -> Iterator[Parts]:
    """The service, with `rgb` as version 1 and champion."""
    with open_parts(settings, bundled=rgb.path) as opened:
        yield opened


def add(parts: Parts, bundle: Bundle) -> str:
    """Import a bundle: its version."""
    return registry.add_bundle(bundle, parts.ledger, parts.blobs, source="test", actor="test")


def variant(bundle: Bundle, folder: Path, name: str) -> Bundle:
    """Another bundle with the same model."""
    return tiny_models.tiny_bundle(folder, {"model.onnx": bundle.read("model.onnx")}, name=name)


def picture(colour: int | None = RED, *, form: str = "PNG", **save: Any) -> bytes:
    """A photo of a leaf-coloured field with one spot of a class's colour, or none."""
    spots = [] if colour is None else [(colour, (100, 120, 180, 170))]
    data = io.BytesIO()
    Image.fromarray(tiny_models.photo(300, 280, *spots)).save(data, form, **save)
    return data.getvalue()


def send(parts: Parts, data: bytes | None = None, sender: Sender = FE, **fields: Any) -> dict[str, Any]:
    submission = Submission(picture() if data is None else data, **fields)
    return patiently(lambda: parts.answering.answer(submission, sender))


def kept(parts: Parts) -> tuple[int, int, int]:
    """How many (photos, predictions) have rows, and how many photos' objects there are beside the model's two."""
    with parts.ledger.reading() as session:
        photos, answers = (
            session.scalar(select(func.count()).select_from(table)) or 0 for table in (Photo, Prediction)
        )
    models = {value for row in registry.list_versions(parts.ledger) for value in _objects_of(parts, row["bundle"])}
    return photos, answers, len(set(parts.blobs.keys()) - models)


def _objects_of(parts: Parts, bundle_hash: str) -> set[str]:
    return {bundle_hash, *(f["sha256"] for f in json.loads(parts.blobs.get(bundle_hash))["files"].values())}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of the model, each time that one looks at a photo."""
    looked: list[str] = []
    whole = Reader.read

    def counted(self: Reader, *args: Any, **kwargs: Any) -> Any:
        looked.append(self.bundle.manifest.name)
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(Reader, "read", counted)
    return looked


class Shutter:
    """An object store with something between the caller and the store."""

    def __init__(
        self, parts: Parts, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None
    ) -> None:
        self._put, self._before, self._after = parts.blobs.put, before, after
        self.has, self.refuse_when_away = parts.blobs.has, parts.blobs.refuse_when_away

    def put(self, data: bytes) -> str:
        self._before()
        key = self._put(data)
        self._after()
        return key


def answering_with(parts: Parts, blobs: Any, max_waiting: int = 16) -> Answering:
    return Answering(parts.ledger, blobs, parts.serving, parts.decoders, max_waiting)
