"""Where in a photo leaf can be, by colour alone; knows no model and no lesion.

The mask is generous, since what it leaves out may be skipped: green and yellow count everywhere, brown and dry tissue
where it hangs together with them and some of them is near, and a dark or grey spot with leaf around it. Sky, paper, concrete and
road do not count; soil, wood and skin only at a leaf's rim.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from leafloop.vision.detection import Pixels

SCALE = 512  # pixels of the mask's long side: a tile of 256 in a 12-megapixel photo is 33 of them wide
# OpenCV's HSV of 8 bits: hue 0-179 (red 0, yellow 30, green 60), saturation and value 0-255.
# Old and backlit banana leaves are nearly grey (saturation 15-40), but green still; grey things have 0-12 and any hue.
GREEN = ((27, 16, 24), (92, 255, 255))
YELLOW = ((19, 80, 60), (27, 255, 255))  # 80: wood and soil of this hue are paler
DRY = ((0, 18, 16), (27, 255, 255))  # brown, ochre, straw, red
# Half a tile, in photo pixels: dry tissue farther from all green and yellow is soil far more often than leaf. A dead leaf has
# no green left and no mask either, and then every tile is looked at.
REACH_PX = 128
PATCH = 0.008  # of the long side: smaller patches of green are noise of the camera
MIN_SHARE = 0.002  # of the photo: with less green and yellow than this there is no leaf to which anything belongs
HOLE = 0.06  # of the long side: the widest dark or grey spot that is closed inside leaf


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A photo at a glance. `small`: with its long side at `SCALE` pixels at most; `mask`: bool [h, w], where in it leaf can be.

    One of its pixels stands for `factor` x `factor` photo pixels (factor >= 1). `width`, `height`: of the photo.
    """

    small: Pixels
    mask: npt.NDArray[np.bool_]
    factor: float
    width: int
    height: int


def overview(pixels: Pixels) -> Overview:
    """Shrink a photo [H, W, 3] once, for all that can be seen at a glance."""
    small, factor = _shrink(pixels, SCALE)
    return Overview(small, _mask_of(small, REACH_PX / factor), factor, pixels.shape[1], pixels.shape[0])


def _mask_of(small: Pixels, reach: float) -> npt.NDArray[np.bool_]:
    """The mask of a photo that was shrunk already: bool [h, w], pixel for pixel. `reach`: of dry tissue, in its pixels."""
    long_side = max(small.shape[:2])
    hsv = cv2.cvtColor(cv2.blur(small, (3, 3)), cv2.COLOR_RGB2HSV)
    fresh = cv2.bitwise_or(_within(hsv, GREEN), _within(hsv, YELLOW))
    fresh = cv2.morphologyEx(fresh, cv2.MORPH_OPEN, _square(PATCH * long_side))
    if cv2.countNonZero(fresh) < MIN_SHARE * fresh.size:
        return np.zeros(small.shape[:2], np.bool_)
    dry = cv2.bitwise_and(_within(hsv, DRY), cv2.dilate(fresh, _square(2 * reach)))
    tissue = cv2.bitwise_or(fresh, dry)
    _, parts = cv2.connectedComponents(tissue, connectivity=8)
    with_green = np.bincount(parts[fresh > 0], minlength=int(parts.max()) + 1) > 0
    with_green[0] = False  # the background
    leaf = with_green[parts].astype(np.uint8)
    return cv2.morphologyEx(leaf, cv2.MORPH_CLOSE, _square(HOLE * long_side)).astype(np.bool_)


def _shrink(pixels: Pixels, scale_to: int) -> tuple[Pixels, float]:
    """The photo with its long side at `scale_to` pixels, never enlarged, and how many photo pixels one of it spans.

    By halves, then the rest by interpolation: a fifth of the time of one step, and still every pixel counts.
    """
    height, width = pixels.shape[:2]
    factor = max(1.0, max(height, width) / scale_to)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = pixels
    while small.shape[1] >= 2 * size[0] and small.shape[0] >= 2 * size[1]:
        half = (small.shape[1] // 2, small.shape[0] // 2)
        small = np.asarray(cv2.resize(small, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if small.shape[1::-1] != size:
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    return small, factor


def _within(hsv: cv2.typing.MatLike, bounds: tuple[tuple[int, int, int], tuple[int, int, int]]) -> Pixels:
    return np.asarray(cv2.inRange(hsv, np.array(bounds[0]), np.array(bounds[1])), dtype=np.uint8)


def _square(side: float) -> npt.NDArray[np.uint8]:
    """A square kernel with an odd side of at least 3; OpenCV runs squares 15 to 40 times as fast as discs."""
    whole = 2 * max(1, round(side / 2)) + 1
    return np.ones((whole, whole), np.uint8)
