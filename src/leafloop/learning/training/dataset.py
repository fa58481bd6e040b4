"""Writes photos with boxes as a folder of tiles for a trainer (YOLO layout) and knows which boxes of a photo a tile still shows.

Split by photo: `write_photo` puts all tiles of a photo on one side, and `finish` refuses a photo that is on both. Nothing of a
user's `data.yaml` ever comes here: ours is written with four keys and holds no line that could be run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from leafloop.vision import tiles
from leafloop.vision.detection import FloatArray, IntArray, Pixels

Split = Literal["train", "val"]

# A box cut by a tile's edge counts for that tile while this share of its area, and this many pixels a side, are in it. With
# less, a detector learns to call a bare rim a lesion; the neighbour tile shows the rest, and merging joins the parts.
VISIBLE_SHARE = 0.35
VISIBLE_PX = 6.0
MOST_TILES = 12  # of one photo: tiles of a photo look alike, and a large photo must not drown the others
EMPTY_BESIDE = (
    2  # empty tiles of a photo with lesions; with a quarter of clean photos this makes 25-30 % empty tiles in all
)
JPEG_QUALITY = 95  # as good as lossless for training, at a tenth of the reading time of PNG


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo and its boxes. name: unique, a file name's worth. xyxy_px: float32 [n, 4]. class_id: int64 [n]."""

    name: str
    pixels: Pixels
    class_id: IntArray
    xyxy_px: FloatArray


def visible_boxes(xyxy_px: FloatArray, tile_xyxy_px: Sequence[int]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Boxes cut to a tile, in pixels of the tile, and which of them still count: float32 [n, 4], bool [n].

    A box that the tile's edge does not cut always counts, however small it is.
    """
    x, y = tile_xyxy_px[0], tile_xyxy_px[1]
    low = np.array([x, y, x, y], np.float32)
    high = np.array([tile_xyxy_px[2], tile_xyxy_px[3]] * 2, np.float32)
    cut = np.clip(xyxy_px, low, high)
    side, whole_side = cut[:, 2:] - cut[:, :2], xyxy_px[:, 2:] - xyxy_px[:, :2]
    area, whole = side.prod(axis=1), whole_side.prod(axis=1)
    uncut = (cut == xyxy_px).all(axis=1)
    counts = (area > 0) & (uncut | ((area >= VISIBLE_SHARE * whole) & (side >= VISIBLE_PX).all(axis=1)))
    return (cut - low).astype(np.float32), counts


@dataclass(frozen=True)
class Written:
    """What one photo gave to a dataset."""

    name: str
    split: Split
    tiles: int
    most_boxes: int
    boxes_of_class: tuple[int, ...]


def write_photo(
    folder: Path,
    split: Split,
    photo: LabelledPhoto,
    rng: np.random.Generator,
    *,
    classes: int,
    size: int = 256,
    overlap: int = 32,
) -> Written:
    """Cut one photo, choose among its tiles, write them. Safe to run for several photos at once: names begin with the photo's."""
    height, width = photo.pixels.shape[:2]
    grid = tiles.grid(width, height, size=size, overlap=overlap)
    cut = [visible_boxes(photo.xyxy_px, rect) for rect in grid.xyxy_px.tolist()]
    chosen = choose_tiles(np.array([int(counts.sum()) for _, counts in cut], np.int64), rng)
    seen = np.zeros(classes, np.int64)
    for index, pixels in zip(chosen, tiles.cut(photo.pixels, grid, chosen), strict=True):
        boxes, counts = cut[index]
        _write_tile(
            folder, split, f"{photo.name}-{index:04d}", pixels, yolo_lines(photo.class_id[counts], boxes[counts], size)
        )
        seen += np.bincount(photo.class_id[counts], minlength=classes)
    most = max((int(cut[index][1].sum()) for index in chosen), default=0)
    return Written(photo.name, split, len(chosen), most, tuple(seen.tolist()))


def choose_tiles(boxes_in_tile: IntArray, rng: np.random.Generator) -> IntArray:
    """Indices of the tiles that are worth training on, given how many boxes each shows.

    Tiles of one photo look alike and most are empty: `MOST_TILES` of a photo with lesions, a few empty ones among them, and half
    as many of a photo without.
    """
    shown, empty = (rng.permutation(np.flatnonzero(test)) for test in (boxes_in_tile > 0, boxes_in_tile == 0))
    if len(shown) == 0:
        return empty[: MOST_TILES // 2]
    spare = empty[:EMPTY_BESIDE]
    return np.concatenate([shown[: MOST_TILES - len(spare)], spare])


def finish(folder: Path, classes: tuple[str, ...], written: Sequence[Written]) -> Path:
    """Write `data.yaml`, the one file that the trainer is handed, and `split.json`; the path of the first.

    Raises ValueError when a photo is on two sides of the split, or a side has no tile.
    """
    split_of: dict[str, Split] = {}
    for photo in written:
        if split_of.setdefault(photo.name, photo.split) != photo.split:
            raise ValueError(f"{photo.name} is in both sides of the split: tiles of one photo must stay together")
    for split in ("train", "val"):
        if not sum(photo.tiles for photo in written if photo.split == split):
            raise ValueError(f"there is no tile in {split}")
    (folder / "split.json").write_text(json.dumps(split_of, indent=0, sort_keys=True) + "\n", "utf-8")
    lines = [
        f"path: {json.dumps(str(folder.resolve()))}",
        "train: images/train",
        "val: images/val",
        f"names: {json.dumps(classes)}",
    ]
    path = folder / "data.yaml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _write_tile(folder: Path, split: Split, name: str, pixels: Pixels, labels: str) -> None:
    for kind in ("images", "labels"):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
    # OpenCV writes BGR, our pixels are RGB.
    cv2.imwrite(
        str(folder / "images" / split / f"{name}.jpg"), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    (folder / "labels" / split / f"{name}.txt").write_text(labels, "utf-8")


def yolo_lines(class_id: IntArray, xyxy_px: FloatArray, size: int) -> str:
    """One line a box: class, centre x, centre y, width, height, the last four as shares of the tile."""
    centre, side = (xyxy_px[:, :2] + xyxy_px[:, 2:]) / 2 / size, (xyxy_px[:, 2:] - xyxy_px[:, :2]) / size
    rows = np.concatenate([centre, side], axis=1)
    return "".join(f"{c} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for c, (x, y, w, h) in zip(class_id, rows, strict=True))
