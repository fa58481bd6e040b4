"""The photos that both sides are given: 12-megapixel JPEGs drawn by `leafloop.simulation`. Knows no model.

Each is the same on every machine. A photo that was stored once is not stored again, so each round gets a copy of its own: the same
pixels but for one corner block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from leafloop import taxonomy
from leafloop.simulation import leaves, texture

WIDTH, HEIGHT, QUALITY = 4000, 3000, 90  # what a common phone sends
TILE, OVERLAP = 256, 32  # what the bundled model is served with; both sides cut like this

Kind = Literal["all leaf", "half empty"]
# The first seeds of which at least nine tenths of the frame are leaf; and the first that are easily made half leaf.
SEEDS: dict[Kind, tuple[int, ...]] = {"all leaf": (0, 1, 2, 3), "half empty": (5, 6, 4, 3)}
HALF = 0.5  # of the frame: what a photo that is half sky and soil shows of a leaf
MARK = 16  # pixels of the corner block that makes copies differ
SKY, SOIL = ((150, 188, 235), (214, 228, 240)), (112, 84, 60)  # RGB; the sky pales towards the horizon

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """leaf: share of the frame that is leaf, by the renderer's own word."""

    kind: Kind
    seed: int
    pixels: Pixels
    lesions: int
    leaf: float

    def jpeg(self, copy: int) -> bytes:
        """The photo as JPEG; each `copy` (0 to 255) has other bytes."""
        pixels = self.pixels.copy()
        pixels[:MARK, :MARK] = copy
        done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            raise RuntimeError("OpenCV could not encode the photo")
        return data.tobytes()

    def facts(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "seed": self.seed,
            "lesions": self.lesions,
            "leaf": round(self.leaf, 3),
        }


def pictures(kind: Kind, count: int) -> list[Picture]:
    """The first `count` photos of a kind."""
    return [_picture(kind, seed) for seed in SEEDS[kind][:count]]


def _picture(kind: Kind, seed: int) -> Picture:
    stages = len(taxonomy.load().classes) - 1
    view: leaves.View = "part" if kind == "all leaf" else "whole"
    drawn = leaves.render(seed, width=WIDTH, height=HEIGHT, stages=stages, view=view, clean=0, leafless=0)
    if kind == "all leaf":
        return Picture(kind, seed, drawn.pixels, len(drawn.class_id), float(drawn.leaf.mean()))
    rows = _too_many_rows(drawn.leaf)
    leaf, there = _raised(drawn.leaf, rows), drawn.xyxy_px[:, 3] > rows
    return Picture(
        kind, seed, under_the_sky(_raised(drawn.pixels, rows), leaf, seed), int(there.sum()), float(leaf.mean())
    )


def _too_many_rows(leaf: npt.NDArray[np.bool_]) -> int:
    """By how many rows a photo has to be raised out of its frame until at most half of the frame is leaf."""
    left = leaf.sum() - np.concatenate([[0], np.cumsum(leaf.sum(axis=1))])
    return int(np.argmax(left <= HALF * leaf.size))


def _raised(picture: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    """The picture moved up; what comes in below is black, and no leaf."""
    return np.concatenate([picture[rows:], np.zeros_like(picture[:rows])])


def under_the_sky(pixels: Pixels, shown: npt.NDArray[np.bool_], seed: int) -> Pixels:
    """Sky above the leaf and soil below it, both touching it, as in a photo taken in a plantation."""
    height, width = shown.shape
    rows = np.arange(height)[:, None]
    counted = np.maximum(shown.sum(axis=0), 1)
    middle = np.where(shown.any(axis=0), (shown * rows).sum(axis=0) / counted, height / 2)
    ground = np.where((rows < middle)[..., None], _sky(height, width), _soil(height, width, seed))
    return np.where(shown[..., None], pixels, ground).astype(np.uint8)


def _sky(height: int, width: int) -> Pixels:
    high, low = (np.array(colour, np.float32) for colour in SKY)
    slope = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.broadcast_to(high + slope * (low - high), (height, width, 3)).astype(np.uint8)


def _soil(height: int, width: int, seed: int) -> Pixels:
    rough = texture.noise(np.random.default_rng(seed), (height // 2, width // 2), 1)
    lumps = cv2.resize(rough, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    return np.clip(np.array(SOIL, np.float32) * (1 + 0.25 * lumps), 0, 255).astype(np.uint8)
