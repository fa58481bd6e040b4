"""Seam honesty: how often the number of lesions changes when nothing changes but where the tiles' grid lies.

A photo is laid on a larger canvas at a few offsets. The same lesions are whole in view each time, and the canvas is always cut
the same way, so the grid moves over the leaf and nothing else does. The tile detections of each offset go through Leafloop's
merging, SAHI's (GREEDYNMM on IoS 0.5, its default) and supervision's (NMS on IoU 0.5, its default, and NMM): the same for all.

Two detectors, because they answer different questions:

- *exact*: the rendered truth, cut by each tile's edges by the rule by which the bundled model was trained (a lesion shows in a
  tile when it is whole there, or 35 % of it and 6 pixels a side are), each edge wrong by a pixel or so. A lesion is seen or not
  whatever the offset, so each change of the count is the merging's own doing. This is the bar's figure.
- *bundled*: the model that ships. It also sees a lesion a little differently wherever it lies in a tile, and one that scores
  about the threshold comes and goes with that; no merging can mend it: this is what a user meets, no figure of merging alone.

`changed`: share of photos of which any offset gives another count than the first; `changed_a_shift`: the same of one shift, mean.
`moved`: how far the count moves, the largest less the smallest over the true number, mean over photos. `wrong`: |count - truth|
over truth, mean over photos and offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.photos import OVERLAP, TILE
from benchmarks.report import OURS, Figures
from leafloop.learning.bundled import rendered
from leafloop.learning.training.dataset import visible_boxes
from leafloop.vision import tiles
from leafloop.vision.bundle import Bundle
from leafloop.vision.detection import TileDetections
from leafloop.vision.detector import Detector
from leafloop.vision.photo import read_kept

OFFSETS = ((0, 0), (61, 23), (113, 97), (181, 149))  # pixels; spread over the 224 after which the grid repeats
ROOM = 192  # how much larger the canvas is
WRONG_PX = 1.0  # standard deviation of each edge of an exact box: what a good detector is wrong by
STAGES = 6

Count = Callable[[TileDetections, tiles.Grid], int]
Finder = Callable[[tiles.Grid, int, int], TileDetections]  # canvas, offset x, y


def canvas(width: int, height: int) -> tiles.Grid:
    return tiles.grid(width + ROOM, height + ROOM, size=TILE, overlap=OVERLAP)


def exact(truth: rendered.Shot, seed: int) -> Finder:
    """A detector that knows the truth and sees it tile by tile. Each look errs anew, as a real one does."""

    def find(grid: tiles.Grid, x: int, y: int) -> TileDetections:
        rng = np.random.default_rng([seed, x, y])
        boxes = truth.xyxy_px + np.array([x, y, x, y], np.float32)
        parts = [_seen(boxes, truth.class_id, rect, number, rng) for number, rect in enumerate(grid.xyxy_px.tolist())]
        return TileDetections(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    return find


def _seen(boxes: Any, classes: Any, rect: Sequence[int], tile: int, rng: np.random.Generator) -> tuple[Any, ...]:
    cut, counts = visible_boxes(boxes, rect)
    wrong = rng.normal(0, WRONG_PX, (int(counts.sum()), 4))
    seen = np.clip(cut[counts] + wrong, 0, TILE) + np.tile(rect[:2], 2)  # a detector's boxes end with its tile
    score = rng.uniform(0.5, 0.95, len(seen))
    return seen.astype(np.float32), score.astype(np.float32), classes[counts], np.full(len(seen), tile, np.int64)


def bundled(detector: Detector, pixels: npt.NDArray[np.uint8], threshold: float) -> Finder:
    """What the model finds. The canvas round the photo is the grey that the tiler pads with."""

    def find(grid: tiles.Grid, x: int, y: int) -> TileDetections:
        height, width = pixels.shape[:2]
        laid = np.full((grid.height, grid.width, 3), tiles.PAD_VALUE, np.uint8)
        laid[y : y + height, x : x + width] = pixels
        return detector.detect(tiles.cut(laid, grid), grid, floor=threshold)

    return find


def counts(find: Finder, width: int, height: int, ways: Mapping[str, Count]) -> dict[str, list[int]]:
    """Each way's number of lesions at each offset."""
    grid = canvas(width, height)
    found = [find(grid, x, y) for x, y in OFFSETS]
    return {name: [count(one, grid) for one in found] for name, count in ways.items()}


def figures(photos: Sequence[tuple[int, dict[str, list[int]]]]) -> dict[str, dict[str, float]]:
    """(true number, counts by way) of each photo -> `changed`, `moved`, `wrong` by way."""
    names = photos[0][1]
    return {name: _of_way([(truth, np.array(by_way[name])) for truth, by_way in photos]) for name in names}


def _of_way(photos: list[tuple[int, npt.NDArray[np.int64]]]) -> dict[str, float]:
    return {
        "changed": round(float(np.mean([len(set(n.tolist())) > 1 for _, n in photos])), 4),
        "changed_a_shift": round(float(np.mean([(n[1:] != n[0]).mean() for _, n in photos])), 4),
        "moved": round(float(np.mean([(n.max() - n.min()) / truth for truth, n in photos])), 5),
        "wrong": round(float(np.mean([np.abs(n - truth).mean() / truth for truth, n in photos])), 5),
    }


def measure(bundle: Bundle, work: Path, ways: Mapping[str, Count], *, photos: int, looked_at: int) -> Figures:
    """Over `photos` rendered photos of 2 to 12 megapixels that no model was trained on; the model looks at the smallest."""
    shots = [shot for number in range(2 * photos) if len((shot := _shot(number, work)).class_id)][:photos]
    smallest = sorted(shots, key=lambda shot: len(shot.jpeg))[:looked_at]
    detector, threshold = Detector(bundle), bundle.manifest.thresholds.detect
    by_exact = [_counted(shot, exact(shot, seed), ways) for seed, shot in enumerate(shots)]
    by_model = [_counted(shot, bundled(detector, read_kept(shot.jpeg), threshold), ways) for shot in smallest]
    found: dict[str, Any] = {
        "photos": len(shots),
        "lesions": sum(len(shot.class_id) for shot in shots),
        "offsets": [list(offset) for offset in OFFSETS],
        "exact": figures(by_exact),
        "bundled_photos": len(smallest),
        "bundled": figures(by_model),
    }
    return {"seams": found, "seams_changed": found["exact"][OURS]["changed"]}


def _counted(shot: rendered.Shot, find: Finder, ways: Mapping[str, Count]) -> tuple[int, dict[str, list[int]]]:
    height, width = read_kept(shot.jpeg).shape[:2]
    return len(shot.class_id), counts(find, width, height, ways)


def _shot(number: int, work: Path) -> rendered.Shot:
    return rendered.shot("test", number, STAGES, work / "seam-photos")
