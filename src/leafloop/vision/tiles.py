"""Cuts an upright photo into tiles and says which of them can hold leaf; knows arrays, not models, storage or HTTP.

All tiles have the full size at the photo's own scale: nothing is enlarged, squeezed or cut into a thin last strip. They are
spread evenly, so each pair of neighbours shares at least `overlap` pixels. A photo smaller than a tile gets grey around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leafloop.vision.detection import IntArray, Pixels

PAD_VALUE = 114  # the neutral grey that the YOLO family pads with: a model has seen it, and it is no leaf and no lesion
# Of a tile's width. Measured on 40 rendered photos with 3,122 lesions, a third of them over sky and soil: at 1/4 every pixel of
# each lesion was in a tile that is looked at, at 1/8 three lesions were cut. Of a photo that is half sky and soil, two thirds are.
MARGIN = 0.25
SURE_COVERAGE = 0.02  # a mask with less leaf than this has most likely missed the leaf: then no tile is skipped


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles of one photo, row by row. xyxy_px: int64 [n, 4], photo pixels, each `size` wide and high."""

    xyxy_px: IntArray
    width: int
    height: int
    size: int

    def __len__(self) -> int:
        return len(self.xyxy_px)


def grid(width: int, height: int, *, size: int = 256, overlap: int = 32) -> Grid:
    """Lay tiles over a photo of `width` x `height` pixels. A side shorter than `size` gets one tile that begins at 0."""
    if width < 1 or height < 1 or size < 1 or not 0 <= overlap < size:
        raise ValueError(f"no grid: {width} x {height} pixels, tiles of {size} with an overlap of {overlap}")
    x, y = (part.ravel() for part in np.meshgrid(_starts(width, size, overlap), _starts(height, size, overlap)))
    return Grid(np.stack([x, y, x + size, y + size], axis=1), width, height, size)


def _starts(length: int, size: int, overlap: int) -> IntArray:
    """Where tiles begin along one side: as few as hold the overlap, from 0 to the far edge, evenly (to a pixel)."""
    if length <= size:
        return np.zeros(1, np.int64)
    gaps = -(-(length - size) // (size - overlap))
    return np.arange(gaps + 1, dtype=np.int64) * (length - size) // gaps


def cut(pixels: Pixels, grid: Grid, index: IntArray | None = None) -> npt.NDArray[np.uint8]:
    """Copy tiles out of the photo: uint8 [k, size, size, 3], all of them or those of `index`, in its order."""
    if pixels.shape != (grid.height, grid.width, 3):
        raise ValueError(f"this grid is for {grid.height} x {grid.width} x 3, the photo is {pixels.shape}")
    rects = grid.xyxy_px if index is None else grid.xyxy_px[index]
    tiles = np.empty((len(rects), grid.size, grid.size, 3), np.uint8)
    if grid.width < grid.size or grid.height < grid.size:
        tiles.fill(PAD_VALUE)
    for tile, (x1, y1, x2, y2) in zip(tiles, rects.tolist(), strict=True):
        part = pixels[y1:y2, x1:x2]
        tile[: part.shape[0], : part.shape[1]] = part
    return tiles


def with_leaf(grid: Grid, mask: npt.NDArray[np.bool_], factor: float) -> npt.NDArray[np.bool_]:
    """Which tiles have leaf in them or within `MARGIN` of a tile's width around them: bool [n]; the others may be skipped.

    `mask` is the leaf mask, one value for `factor` x `factor` photo pixels. The margin is for lesions that the mask took
    for background at the leaf's rim. Where the mask sees next to no leaf, its word is not taken and every tile is kept.
    """
    if mask.size == 0 or mask.mean() < SURE_COVERAGE:
        return np.ones(len(grid), np.bool_)
    below = np.zeros(
        (mask.shape[0] + 1, mask.shape[1] + 1), np.int64
    )  # summed area: leaf pixels above and left of (y, x)
    below[1:, 1:] = mask.cumsum(0, dtype=np.int64).cumsum(1)
    margin = MARGIN * grid.size
    low = np.floor((grid.xyxy_px[:, :2] - margin) / factor).astype(np.int64)
    high = np.ceil((grid.xyxy_px[:, 2:] + margin) / factor).astype(np.int64)
    (x1, y1), (x2, y2) = (np.clip(p, 0, [mask.shape[1], mask.shape[0]]).T for p in (low, high))
    leaf = below[y2, x2] - below[y1, x2] - below[y2, x1] + below[y1, x1]
    return np.asarray(leaf > 0)
