"""The values that pass between the parts of vision: boxes in pixels of the upright photo, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]  # [height, width, 3], RGB, upright, sRGB


@dataclass(frozen=True, slots=True)
class Detection:
    """One lesion (or one healthy area): class id by the taxonomy, confidence 0-1, box in pixels of the upright photo."""

    class_id: int
    confidence: float
    xyxy_px: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TileDetections:
    """What the detector found in all tiles of one photo, before merging.

    xyxy_px: float32 [n, 4], photo pixels. confidence: float32 [n]. class_id: int64 [n]. tile: int64 [n], index of the tile.
    """

    xyxy_px: FloatArray
    confidence: FloatArray
    class_id: IntArray
    tile: IntArray
