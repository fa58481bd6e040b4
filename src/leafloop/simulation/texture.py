"""Noise, colours and blending for rendered photos. Knows arrays, not leaves.

Colours are float32 RGB in 0-1; a plane is float32 [height, width].
"""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

# float32 wherever it is large; the stubs of numpy cannot follow that through arithmetic with Python floats.
Plane = npt.NDArray[np.floating[Any]]
Colour = npt.NDArray[np.floating[Any]]  # [3], RGB, 0-1
Picture = npt.NDArray[np.floating[Any]]  # [height, width, 3], RGB, 0-1

# One noise sheet is 512 pixels: large enough not to repeat visibly in a 256-pixel tile, small enough to keep in the
# cache.
SHEET = 512
# Cells across a sheet and their weights: cloud-like, coarse parts strongest.
OCTAVES = ((4, 1.0), (8, 0.6), (16, 0.45), (32, 0.3), (64, 0.22), (128, 0.16))
# Ten sheets, mirrored four ways, are forty: enough that no lesion outline is learnt by heart.
SHEETS = 10


@lru_cache(maxsize=1)
def _sheets() -> tuple[Plane, ...]:
    return tuple(_cloud(np.random.default_rng(1000 + index)) for index in range(SHEETS))


def _cloud(rng: np.random.Generator) -> Plane:
    total = np.zeros((SHEET, SHEET), np.float32)
    for cells, weight in OCTAVES:
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        total += weight * cv2.resize(coarse, (SHEET, SHEET), interpolation=cv2.INTER_CUBIC)
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, ...], stretch: float = 1.0) -> Plane:
    """Cloud noise of `shape` [height, width], about N(0, 1). stretch: output pixels for one of the sheet; grown where
    the sheet is too small.
    """
    height, width = shape
    stretch = max(stretch, (max(height, width) + 1) / (SHEET - 2))
    rows, columns = max(2, int(height / stretch)), max(2, int(width / stretch))
    top, left = (int(rng.integers(0, SHEET - size)) for size in (rows, columns))
    window = _sheets()[int(rng.integers(SHEETS))][top : top + rows, left : left + columns]
    flips = int(rng.integers(4))
    window = window[:: -1 if flips & 1 else 1, :: -1 if flips & 2 else 1]
    return np.asarray(
        cv2.resize(np.ascontiguousarray(window), (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )


def hsv(hue_degrees: float, saturation: float, value: float) -> Colour:
    return np.array(colorsys.hsv_to_rgb(hue_degrees % 360 / 360, saturation, value), np.float32)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def between_log(rng: np.random.Generator, low: float, high: float) -> float:
    """Even over ratios: as many draws between 1 and 2 as between 2 and 4."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def hsv_between(
    rng: np.random.Generator, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]
) -> Colour:
    return hsv(between(rng, *hue), between(rng, *saturation), between(rng, *value))


def ramp(distance: Plane, softness: float) -> Plane:
    """0 below -softness/2, 1 above +softness/2, straight between: a hard edge with its antialiasing."""
    return np.asarray(np.clip(distance / softness + 0.5, 0, 1), np.float32)


def blend(picture: Picture, alpha: Plane, colour: Picture | Colour) -> None:
    """Paints `colour` over `picture` in place, as opaque as `alpha` says. Touches only the window where alpha is not
    0.
    """
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if len(rows) == 0:
        return
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    target = picture[window]
    target += alpha[window][..., None] * ((colour if colour.ndim == 1 else colour[window]) - target)
