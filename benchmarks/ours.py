"""Leafloop's side, by the doors that the service uses: the detector over tiles; a photo answered and kept. Knows no rival."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.photos import OVERLAP, TILE, Picture
from leafloop import settings
from leafloop.live.parts import open_parts
from leafloop.live.submission import Sender, Submission
from leafloop.vision import tiles
from leafloop.vision.bundle import Bundle
from leafloop.vision.detector import Detector
from leafloop.vision.reader import Reader

# The service's own names for its laps, put together as the bars name them. Quality is measured for the verdict.
LAPS = {
    "decode": ("decode",),
    "tile": ("tile",),
    "infer": ("infer",),
    "merge": ("merge",),
    "verdict": ("quality", "verdict"),
}


class TileWork:
    """So many tiles of a photo, spread over it, and a detector to look at them."""

    def __init__(self, picture: Picture, count: int) -> None:
        height, width = picture.pixels.shape[:2]
        self.grid = tiles.grid(width, height, size=TILE, overlap=OVERLAP)
        self.index = np.linspace(0, len(self.grid) - 1, min(count, len(self.grid))).astype(np.int64)
        self.rgb = tiles.cut(picture.pixels, self.grid, self.index)

    def detect(self, detector: Detector, floor: float) -> int:
        """Everything from pixels to the boxes left after NMS: how many."""
        return len(detector.detect(self.rgb, self.grid, self.index, floor=floor).confidence)

    def bgr(self, count: int) -> npt.NDArray[np.uint8]:
        """Some of the same tiles, spread likewise, as the usual way wants them."""
        chosen = np.linspace(0, len(self.rgb) - 1, count).astype(np.int64)
        return np.ascontiguousarray(self.rgb[chosen, :, :, ::-1])


def tiles_looked_at(reader: Reader, picture: Picture) -> dict[str, int]:
    """How many tiles of a photo may hold leaf, and how many it has."""
    reading = reader.read(picture.pixels)
    return {"tiles_looked_at": reading.tiles_looked_at, "tiles": reading.tiles_in_all}


class Answers:
    """A throw-away home with a bundle as its champion. Photos are answered, kept on disk with every fsync, and their laps noted."""

    def __init__(self, bundle: Bundle, home: Path) -> None:
        chosen = settings.load({"LEAFLOOP_HOME": str(home)}, dotenv=None)
        self._parts = open_parts(chosen, bundled=bundle.path)
        self._sender = Sender(key_id=None, role="operator")
        self.laps: list[dict[str, float]] = []
        self.boxes = 0

    def warm(self, jpeg: bytes) -> None:
        """Answer a photo for nothing."""
        self._parts.answering.answer(Submission(jpeg, source="cli"), self._sender)

    def answer(self, jpeg: bytes) -> None:
        began = time.perf_counter()
        body = self._parts.answering.answer(Submission(jpeg, source="cli"), self._sender)
        self.boxes = len(body["detections"])
        self.laps.append(laps(body["timings_ms"], 1000 * (time.perf_counter() - began)))

    def split(self) -> dict[str, float]:
        """Median milliseconds of each lap."""
        return {name: round(statistics.median(lap[name] for lap in self.laps), 1) for name in self.laps[0]}

    def close(self) -> None:
        self._parts.close()


def laps(timings_ms: dict[str, Any], wall_ms: float) -> dict[str, float]:
    """What an answer says of its own time, as the bars name it.

    `store` is what keeps: object, rows, commit. `to_verdict` is the wall clock without it, to be set beside those who keep nothing;
    `other` is what lies between its laps (places, hashes, pixels handed over).
    """
    named = {name: sum(float(timings_ms.get(part, 0)) for part in parts) for name, parts in LAPS.items()}
    store = float(timings_ms["store"]) + wall_ms - float(timings_ms["total"])
    other = wall_ms - store - sum(named.values())
    return {**named, "other": other, "to_verdict": wall_ms - store, "store": store, "wall": wall_ms}
