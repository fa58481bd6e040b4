"""Small datasets with real photos, written as people's tools write them, and a place to import them into."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import func, select

from leafloop import taxonomy
from leafloop.learning.datasets import formats, importing
from leafloop.learning.datasets.formats import Dataset
from leafloop.learning.datasets.formats.notes import Repairs
from leafloop.learning.datasets.importing import Report, Wish
from leafloop.learning.datasets.intake import Place
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import AuditEntry, Import, Photo, TrainingData
from leafloop.vision.photo import PhotoLimits

BANANA = taxonomy.load()
WIDTH, HEIGHT = 200, 160
NAMES = BANANA.class_names


def picture(seed: int = 0, width: int = WIDTH, height: int = HEIGHT, **save: Any) -> bytes:
    """A JPEG that no other seed gives."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 5, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90, **save)
    return out.getvalue()


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Files by their names."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def data_yaml(names: Iterable[str] = NAMES, more: str = "") -> str:
    return f"train: train/images\nval: valid/images\ntest: test/images\nnames: {json.dumps(list(names))}\n{more}"


def yolo(labels: Mapping[str, str | None], names: Iterable[str] = NAMES, more: str = "") -> dict[str, str | bytes]:
    """A Roboflow layout: photo (`train/a`) -> the text of its label file, or None for none."""
    files: dict[str, str | bytes] = {"data.yaml": data_yaml(names, more)}
    for seed, (name, text) in enumerate(labels.items()):
        side, stem = name.split("/")
        files[f"{side}/images/{stem}.jpg"] = picture(seed)
        if text is not None:
            files[f"{side}/labels/{stem}.txt"] = text
    return files


def zipped(path: Path, files: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def read(folder: Path, form: str | None = None) -> Dataset:
    return formats.read(formats.opened(folder, folder), form)


def codes(found: Dataset | Report) -> list[str]:
    return [problem.code for problem in found.problems]


def bring(place: Place, path: Path, scratch: Path | None = None, classes: Any = BANANA, **wish: Any) -> Report:
    repairs = {key: wish.pop(key) for key in list(wish) if key in Repairs.__dataclass_fields__}
    chosen = Wish(repairs=Repairs(**repairs), **wish)
    return importing.bring_in(place, classes, formats.opened(path, scratch or path), chosen, PhotoLimits())


def rows(ledger: Ledger) -> dict[str, int]:
    """How many rows an import left."""
    with ledger.reading() as session:
        count = {
            t.__tablename__: session.scalar(select(func.count()).select_from(t)) or 0
            for t in (Photo, TrainingData, Import)
        }
        audited = session.scalar(select(func.count()).select_from(AuditEntry).where(AuditEntry.action == "data.import"))
    return {**count, "audit": audited or 0}


NOTHING = {"photos": 0, "training_data": 0, "imports": 0, "audit": 0}


def labels_of(ledger: Ledger) -> dict[str, TrainingData]:
    """Name -> label."""
    with ledger.reading() as session:
        return {str(row.name): row for row in session.scalars(select(TrainingData))}
