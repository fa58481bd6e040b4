"""How long 10,000 labels take on their way out, in each form: `python -m benchmarks.export`.

Photos are small real JPEGs, each of other bytes, in a folder store beside a SQLite file; every one is read, verified by its hash,
and written. Rows are written straight into the tables: importing is not what is measured.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import insert

from benchmarks import machine
from leafloop import taxonomy
from leafloop.learning.datasets import exporting, formats
from leafloop.storage import imports
from leafloop.storage.blobs import LocalBlobs
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Photo, TrainingData, new_id

SIDE, BOXES = 640, 12  # pixels; boxes a photo, about what a leaf of a middle stage has
BASES = 20  # different pictures; the rest differ in a few bytes


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--labels", type=int, default=10_000)
    options.add_argument("--out", type=Path, help="Write the figures as JSON, too.")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="leafloop-export-") as folder:
        figures = measure(Path(folder), chosen.labels)
    print(json.dumps(figures, indent=1))
    if chosen.out:
        chosen.out.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def measure(folder: Path, labels: int) -> dict[str, Any]:
    """Seconds (by the clock, and of the processor, which other work does not lengthen) and labels a second, by form."""
    ledger, blobs, classes = Ledger(f"sqlite:///{folder / 'ledger.db'}"), LocalBlobs(folder / "blobs"), taxonomy.load()
    ledger.upgrade()
    size = _fill(ledger, folder / "blobs", labels, classes)
    found: dict[str, Any] = {"machine": machine.facts(), "labels": labels, "megabytes": round(size / 1e6)}
    for form in formats.FORMATS:
        began, worked = time.perf_counter(), time.process_time()
        report = exporting.write_out(ledger, blobs, classes, folder / form, exporting.Wish(form))
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
        found[form] = {
            "seconds": round(seconds, 2),
            "processor_seconds": round(worked, 2),
            "labels_a_second": round(report.photos / seconds),
        }
        shutil.rmtree(folder / form)
    ledger.close()
    return found


def _fill(ledger: Ledger, root: Path, labels: int, classes: taxonomy.Taxonomy) -> int:
    rng = np.random.default_rng(0)
    bases = [_picture(rng) for _ in range(BASES)]
    photos, rows, size = [], [], 0
    for number in range(labels):
        data = bases[number % BASES] + number.to_bytes(
            4, "big"
        )  # after the end of the picture: other bytes, the same picture
        key = _put(root, data)
        size += len(data)
        photo_id = new_id()
        photos.append(
            {
                "id": photo_id, "sha256": key, "stored_sha256": key, "media_type": "image/jpeg", "format": "jpeg",
                "bytes": len(data), "width": SIDE, "height": SIDE,
            }
        )  # fmt: skip
        rows.append(
            {
                "photo_id": photo_id, "image_path": key, "image_hash": key, "name": f"leaf-{number}.jpg", "width": SIDE,
                "height": SIDE, "outcome": "diseased", "strength": "strong", "bbox_data": _boxes(rng, classes), "source": "import",
                "is_validated": True,
            }
        )  # fmt: skip
    with ledger.transaction() as session:
        for table, values in ((Photo, photos), (TrainingData, rows)):
            for batch in imports.batches(values):
                session.execute(insert(table), batch)
    return size


def _put(root: Path, data: bytes) -> str:
    """As the store lays objects, without its syncs: filling is not what is measured."""
    from leafloop.storage.objects import hash_of, path_of

    key = hash_of(data)
    path = root / path_of(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return key


def _picture(rng: np.random.Generator) -> bytes:
    small = rng.integers(0, 256, (40, 40, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


def _boxes(rng: np.random.Generator, classes: taxonomy.Taxonomy) -> list[dict[str, Any]]:
    corners = rng.uniform(0, SIDE - 60, (BOXES, 2))
    ids = rng.integers(0, len(classes.classes), BOXES)
    return [
        {
            "class_id": int(index),
            "class_name": classes.class_names[index],
            "bbox": {"x1": float(x), "y1": float(y), "x2": float(x) + 50, "y2": float(y) + 40},
        }
        for (x, y), index in zip(corners, ids, strict=True)
    ]


if __name__ == "__main__":
    main()
