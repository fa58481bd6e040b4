"""Photo in, verdict out: the whole of what a model does for a photo, on one screen. Knows pixels, not files, people or storage.

pixels -> quality, leaf mask -> tiles that can hold leaf -> detector -> merge -> verdict
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np

from leafloop.errors import BundleRejected
from leafloop.vision import leaf, likeness, merge, quality, tiles, verdict
from leafloop.vision.bundle import Bundle
from leafloop.vision.detection import Detection, IntArray, Pixels
from leafloop.vision.detector import FLOOR, Detector
from leafloop.vision.photo import read_kept
from leafloop.vision.quality import USELESS, Quality
from leafloop.vision.verdict import Verdict

TOO_FEW_PIXELS = "small"  # the warning with which a model cannot vouch for health


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read off one photo. Detections: strongest first, in photo pixels. timings_ms has a key for each lap of `read`.

    `likeness`: the photo's perceptual hashes (`vision.likeness`).
    """

    verdict: Verdict
    detections: list[Detection]
    quality: Quality
    likeness: bytes
    tiles_looked_at: int
    tiles_in_all: int
    timings_ms: dict[str, float]


class Reader:
    """A bundle's model, loaded, probed and tried on its self-test photo. Safe to call from threads."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None, precision: str = "bf16") -> None:
        """Raises `BundleRejected` when the model is not what its bundle says, or fails its own self-test."""
        self.bundle = bundle
        self._detector = Detector(bundle, threads=threads, precision=precision)
        self.precision = self._detector.precision
        self._self_test()

    def read(self, pixels: Pixels, *, floor: float | None = None, language: str = "en") -> Reading:
        """Read one upright RGB photo. Detections of at least `floor` are listed (the bundle's `detect` when None)."""
        manifest, clock = self.bundle.manifest, _Clock()
        listed = manifest.thresholds.detect if floor is None else floor
        seen = leaf.overview(pixels)
        measured, alike = quality.measure(seen), likeness.of(seen.small)
        clock.lap("quality")
        laid, scale = (pixels, 1.0) if manifest.tiling.mode == "tiles" else _fitted(pixels, manifest.input.size)
        grid = tiles.grid(laid.shape[1], laid.shape[0], size=manifest.input.size, overlap=manifest.tiling.overlap)
        index = _worth_a_look(seen, grid)
        cut = tiles.cut(laid, grid, index)
        clock.lap("tile")
        found = self._detector.detect(cut, grid, index, floor=min(listed, self._floor()))
        clock.lap("infer")
        merged = [_scaled(d, scale, pixels) for d in merge.merge(found, grid, iou=manifest.thresholds.iou)]
        clock.lap("merge")
        warned = {warning.code for warning in measured.warnings}
        judged = verdict.judge(
            merged,
            self.bundle.taxonomy,
            manifest.thresholds,
            leaf_fraction=measured.leaf_fraction,
            usable=not USELESS & warned,
            shows_small_spots=TOO_FEW_PIXELS not in warned,
            language=language,
        )
        clock.lap("verdict")
        shown = [d for d in merged if d.confidence >= listed]
        return Reading(judged, shown, measured, alike, len(index), len(grid), clock.laps)

    def _floor(self) -> float:
        """How low scores must be known: below the bar under which the model vouches for health."""
        vouch = self.bundle.manifest.thresholds.vouch_healthy_below
        return FLOOR if vouch is None else min(FLOOR, vouch / 2)

    def _self_test(self) -> None:
        told = self.bundle.manifest.selftest
        if told is None:
            return
        judged = self.read(read_kept(self.bundle.read(told.photo))).verdict
        if (judged.outcome, judged.class_name) != (told.outcome, told.class_name):
            raise BundleRejected(
                f"The model fails its self-test: it says {judged.outcome} {judged.class_name or ''}, and said {told.outcome} "
                f"{told.class_name or ''} when it was made. The file or the runtime is not the one that was tested."
            )


def _worth_a_look(seen: leaf.Overview, grid: tiles.Grid) -> IntArray:
    if len(grid) == 1:
        return np.zeros(1, np.int64)
    return np.flatnonzero(tiles.with_leaf(grid, seen.mask, seen.factor))


def _fitted(pixels: Pixels, size: int) -> tuple[Pixels, float]:
    """The whole photo with its long side at `size` (what is left of the square stays grey), and its scale."""
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    to = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, to, interpolation=how), np.uint8), scale


def _scaled(detection: Detection, scale: float, pixels: Pixels) -> Detection:
    if scale == 1:
        return detection
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = (v / scale for v in detection.xyxy_px)
    return Detection(detection.class_id, detection.confidence, (x1, y1, min(x2, width), min(y2, height)))


class _Clock:
    """Milliseconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = round(1000 * (now - self._last), 1), now
