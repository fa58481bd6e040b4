"""How well a number tells two groups of photos apart, and how sure that is: AUROC with bootstrap intervals, and pairs of them.

Knows scores, not models. The one measure that needs no model, the share of brown pixels, stands here too, as the bar to clear.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from leafloop.vision.detection import Pixels

Floats = npt.NDArray[np.float64]

# Brown in OpenCV's HSV (hue 0-180): from red to yellow, coloured enough not to be grey, darker than a yellow leaf.
BROWN_LOW, BROWN_HIGH = (0, 40, 20), (25, 255, 200)


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def brown_share(pixels: Pixels) -> float:
    """Share of brown pixels in an RGB picture, 0-1."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    return float(np.count_nonzero(cv2.inRange(hsv, BROWN_LOW, BROWN_HIGH)) / hsv[..., 0].size)


def auroc(ill: Floats, healthy: Floats) -> float:
    """The chance that a photo of the first group [n] scores higher than one of the second [m]; ties count half."""
    below = np.searchsorted(np.sort(healthy), ill, side="left")
    up_to = np.searchsorted(np.sort(healthy), ill, side="right")
    return float((below + up_to).mean() / 2 / len(healthy))


def compare(ill: Floats, healthy: Floats, *, draws: int = 2000, seed: int = 0) -> tuple[list[Estimate], list[Estimate]]:
    """AUROC of several scores on the same photos, and how much the first is above each of the others.

    ill: [scores, n], healthy: [scores, m]. Photos are drawn with replacement within each group, the same for every score.
    """
    rng = np.random.default_rng(seed)
    values = np.array([auroc(a, b) for a, b in zip(ill, healthy, strict=True)])
    drawn = np.empty((draws, len(values)))
    for draw in drawn:
        i, h = rng.integers(ill.shape[1], size=ill.shape[1]), rng.integers(healthy.shape[1], size=healthy.shape[1])
        draw[:] = [auroc(a[i], b[h]) for a, b in zip(ill, healthy, strict=True)]
    each = [_estimate(value, drawn[:, k]) for k, value in enumerate(values)]
    above = [_estimate(values[0] - values[k], drawn[:, 0] - drawn[:, k]) for k in range(1, len(values))]
    return each, above


def _estimate(value: float, drawn: Floats) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
