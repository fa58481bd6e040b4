"""A snapshot of 100,000 labels: how long it takes, step by step, how much memory, and whether copies are found among so many.

    python -m benchmarks.snapshots [--labels 100000] [--database URL] [--out FIGURES.json]

Labels are made up: boxes, groups and classes by number, likenesses of clouds, which have the spectrum of photos; one in twenty is a
mirrored crop of an earlier one. No object of a photo is made: what is timed is judging, linking, placing and writing. The
snapshot is made in a process of its own, whose largest memory counts; where others keep the machine busy, compare `processor_s`.
Beside it: made again, with 1 % more labels, and compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sqlalchemy import insert

from leafloop import taxonomy
from leafloop.learning.snapshots import building, difference, manifest
from leafloop.learning.snapshots.building import Options
from leafloop.storage.blobs import open_blobs
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Photo, TrainingData, now
from leafloop.vision import likeness

SIDE, TEXTURES, MIXED = 96, 400, 3
COPIES = 20  # one in so many
PER_GROUP = 5  # photos of a plant
BOXES = 6
BATCH = 2_000
MORE = 0.01


def pictures(first: int, count: int) -> Iterator[np.ndarray]:
    """Clouds by number: sums of textures, shifted. Every twentieth is a mirrored crop of the one ten before it."""
    rng = np.random.default_rng(5)
    sizes = (3, 6, 12, 24)
    layers = [sum(_texture(rng, side) / side**0.5 for side in sizes) for _ in range(TEXTURES)]
    for number in range(first, first + count):
        if number % COPIES == COPIES - 1:
            yield np.ascontiguousarray(_cloud(layers, number - 10)[5:91, 3:89][:, ::-1])
        else:
            yield _cloud(layers, number)


def _texture(rng: np.random.Generator, side: int) -> Any:
    return cv2.resize(rng.normal(size=(side, side)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def _cloud(layers: list[Any], number: int) -> np.ndarray:
    rng = np.random.default_rng([9, number])
    chosen = rng.integers(0, TEXTURES, MIXED)
    shifts = rng.integers(0, SIDE, (MIXED, 2))
    mixed = sum(np.roll(layers[n], tuple(shift), (0, 1)) for n, shift in zip(chosen, shifts, strict=True))
    return np.clip(127 + 45 * mixed, 0, 255).astype(np.uint8)


def fill(ledger: Ledger, first: int, count: int) -> None:
    """Labels by number, in the ledger."""
    names = taxonomy.load().class_names
    shown = pictures(first, count)
    for begin in range(first, first + count, BATCH):
        numbers = range(begin, min(begin + BATCH, first + count))
        rows = [_rows(number, names, next(shown)) for number in numbers]
        with ledger.transaction() as session:
            session.execute(insert(Photo), [photo for photo, _ in rows])
            session.execute(insert(TrainingData), [label for _, label in rows])


def _rows(number: int, names: tuple[str, ...], shown: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    sha256, stored, photo_id, label_id = (_hash(f"{what} {number}") for what in ("photo", "kept", "row", "label"))
    klass = number % len(names)
    edges = np.random.default_rng(number).uniform(0, 2000, (BOXES, 4)).round(2).tolist()
    boxes = [
        {"class_id": klass, "class_name": names[klass], "bbox": {"x1": x, "y1": y, "x2": x + w / 9, "y2": y + h / 9}}
        for x, y, w, h in edges
    ]
    photo = {
        "id": photo_id[:36], "sha256": sha256, "stored_sha256": stored, "media_type": "image/jpeg", "format": "jpeg",
        "bytes": 3_000_000, "width": 4000, "height": 3000, "likeness": likeness.of(shown), "created_at": now(),
    }  # fmt: skip
    label = {
        "id": label_id[:36], "photo_id": photo_id[:36], "image_path": stored, "image_hash": sha256, "name": f"IMG_{number}.jpg",
        "width": 4000, "height": 3000, "outcome": "diseased", "class_id": klass, "class_name": names[klass], "strength": "strong",
        "bbox_data": boxes, "source": "feedback", "source_id": label_id[:36], "feedback_ids": [label_id[36:]],
        "user_id": f"farmer {number % 300}", "key_id": "bench", "group": f"plant {number // PER_GROUP}", "is_validated": True,
        "blur_score": 200.0, "brightness_score": 120.0, "revision": 1, "may_test": True, "added_date": now(),
    }  # fmt: skip
    return photo, label


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Steps:
    """Seconds by step, from what is said of the progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, what: str, _done: int, _of: int) -> None:
        at = time.perf_counter()
        self.seconds[what] = self.seconds.get(what, 0.0) + at - self._last
        self._last = at


def make(database: str, blobs: str) -> dict[str, Any]:
    """Make one, and say what it took."""
    ledger, store, steps = Ledger(database), open_blobs(blobs), _Steps()
    begin = time.perf_counter()
    made = building.make(ledger, store, taxonomy.load(), Options(), actor="benchmark", say=steps)
    seconds, busy = time.perf_counter() - begin, time.process_time()
    steps("rows", 1, 1)
    ledger.close()
    return {
        "hash": made.hash, "photos": made.photos, "is_new": made.is_new, "seconds": round(seconds, 1),
        "processor_s": round(busy, 1), "splits": made.splits,
        "steps_s": {what: round(s, 1) for what, s in steps.seconds.items()}, "left_out": made.left_out,
        "peak_rss_mb": _peak_rss_mb(),
    }  # fmt: skip


def _peak_rss_mb() -> int:
    """Of this process since it began its program: `ru_maxrss` would count what its parent had when it started it."""
    told = Path("/proc/self/status").read_text()
    return int(told.split("VmHWM:")[1].split()[0]) // 1024


def _in_a_process(database: str, blobs: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.snapshots", "--make", database, blobs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def copies_found(blobs: str, snapshot_hash: str, count: int) -> float:
    """Share of the copies that are in the group of what they are a copy of."""
    groups = {line["sha256"]: line["group"] for line in manifest.read_photos(open_blobs(blobs), snapshot_hash)}
    pairs = [(_hash(f"photo {n}"), _hash(f"photo {n - 10}")) for n in range(COPIES - 1, count, COPIES)]
    there = [(a, b) for a, b in pairs if a in groups and b in groups]
    return round(sum(groups[a] == groups[b] for a, b in there) / max(1, len(there)), 4)


def measure(labels: int, database: str | None, folder: Path) -> dict[str, Any]:
    url, blobs = database or f"sqlite:///{folder / 'bench.db'}", (folder / "blobs").as_uri()
    ledger = Ledger(url)
    ledger.upgrade()
    fill(ledger, 0, labels)
    first = _in_a_process(url, blobs)
    again = _in_a_process(url, blobs)
    fill(ledger, labels, int(labels * MORE))
    more = _in_a_process(url, blobs)
    begin = time.perf_counter()
    found = difference.between(open_blobs(blobs), first["hash"], more["hash"])
    seconds = round(time.perf_counter() - begin, 2)
    dialect = ledger.dialect
    ledger.close()
    return {
        "labels": labels, "database": dialect, "first": first, "again": again, "one_percent_more": more,
        "copies_found": copies_found(blobs, first["hash"], labels),
        "difference": {"seconds": seconds, "added": len(found.added), "removed": len(found.removed), "moved": len(found.moved)},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of a large snapshot.")
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--database", help="An empty database; default SQLite in a folder of its own.")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--make", nargs=2, metavar=("DATABASE", "BLOBS"), help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.make:
        sys.stdout.write(json.dumps(make(*told.make)) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = json.dumps(measure(told.labels, told.database, Path(folder)), indent=2)
    sys.stdout.write(figures + "\n")
    if told.out:
        told.out.write_text(figures + "\n", "utf-8")


if __name__ == "__main__":
    main()
