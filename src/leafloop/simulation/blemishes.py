"""Marks on a leaf that are not lesions: dust, drops, insect holes, scars, sun fleck and sunburn, glare, stains. Never
boxed.

Some belong to the leaf and are painted before the lesions; the rest lies on it and is painted after them, beside
them: a label is never covered. Each is painted in place on a window of the photo.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from leafloop.simulation.lesions import patch
from leafloop.simulation.surface import Pose
from leafloop.simulation.texture import Picture, Plane, between, between_log, blend, hsv_between, noise, ramp

Bytes = npt.NDArray[np.uint8]
Kinds = tuple[tuple[Callable[[np.random.Generator, Picture, Plane, Plane, Plane], None], float], ...]


def sprinkle(
    rng: np.random.Generator,
    kinds: Kinds,
    pixels: Bytes,
    ground: Plane,
    leaf: Pose,
    spots: npt.NDArray[np.floating[Any]],
) -> None:
    """Paints one blemish at each of `spots` (x, y), of two kinds drawn for the photo. ground: 0-1 [H, W], where they
    may be seen.
    """
    chosen = [kinds[int(index)] for index in rng.integers(0, len(kinds), 2)]
    height, width = ground.shape
    for x, y in spots.tolist():
        paint, reach = chosen[int(rng.integers(2))]
        area = patch(width, height, (x, y), reach)
        under = pixels[area.window].astype(np.float32) / 255
        paint(rng, under, ground[area.window], *leaf.frame(area.x, area.y, (x, y)))
        pixels[area.window] = np.clip(under * 255 + 0.5, 0, 255).astype(np.uint8)


def _dust(rng: np.random.Generator, picture: Picture, ground: Plane, along: Plane, across: Plane) -> None:
    grain = rng.standard_normal(along.shape).astype(np.float32)
    cloud = ramp(30 + 10 * noise(rng, along.shape, 0.3) - np.hypot(along, across), 30)
    colour = hsv_between(rng, (25, 50), (0.05, 0.35), (0.55, 0.95))
    blend(picture, ramp(grain - between(rng, 1.6, 2.4), 0.4) * cloud * ground * between(rng, 0.3, 0.8), colour)


def _drops(rng: np.random.Generator, picture: Picture, ground: Plane, along: Plane, across: Plane) -> None:
    """Dew and rain: a darker upper and a brighter lower half, and one highlight."""
    for _ in range(int(rng.integers(1, 8))):
        x, y, radius = between(rng, -36, 36), between(rng, -36, 36), between_log(rng, 2.2, 9)
        dx, dy = (along - x) / radius, (across - y) / radius
        distance = np.hypot(dx, dy * between(rng, 0.85, 1.2))
        inside = ramp(1 - distance, 0.25) * ground
        picture *= (1 + inside * (0.25 * (dx + dy) / 1.5))[..., None]
        picture *= (1 - 0.2 * ground * np.exp(-(((distance - 1) / 0.15) ** 2)))[..., None]
        blend(
            picture,
            ground * between(rng, 0.5, 1) * np.exp(-((np.hypot(dx + 0.4, dy + 0.4) / 0.22) ** 2)),
            np.ones(3, np.float32),
        )


def _hole(rng: np.random.Generator, picture: Picture, ground: Plane, along: Plane, across: Plane) -> None:
    """An insect's hole: what is behind shows, flat, with a thin dry rim. Never as dark as a spot: from above nobody
    could tell them apart.
    """
    radius = between_log(rng, 3, 15)
    distance = np.hypot(along / radius, across / radius * between(rng, 0.7, 1.3)) + 0.18 * noise(rng, along.shape, 0.5)
    behind = (
        hsv_between(rng, (35, 140), (0.15, 0.6), (0.32, 0.6))
        if rng.random() < 0.6
        else hsv_between(rng, (25, 215), (0.0, 0.25), (0.55, 1.0))
    )
    if rng.random() < 0.5:
        blend(
            picture,
            ramp(1 + 1.6 / radius - distance, 0.2) * ground * 0.7,
            hsv_between(rng, (25, 50), (0.3, 0.7), (0.3, 0.7)),
        )
    blend(picture, ramp(1 - distance, 1.2 / radius) * ground, behind)


def _scar(rng: np.random.Generator, picture: Picture, ground: Plane, along: Plane, across: Plane) -> None:
    """A scratch: hair-thin, long, as often across the veins as along them."""
    turn = between(rng, 0, np.pi) if rng.random() < 0.6 else 0.0
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))
    line = across * cosine + along * sine + between(rng, 0, 4) * noise(rng, along.shape, 1)
    length = np.abs(along * cosine - across * sine)
    mark = ramp(between(rng, 0.5, 1.3) - np.abs(line), 1.0) * ramp(between(rng, 15, 75) - length, 8) * ground
    blend(picture, mark * between(rng, 0.25, 0.8), hsv_between(rng, (20, 60), (0.15, 0.5), (0.25, 0.9)))


def _fleck(rng: np.random.Generator, picture: Picture, ground: Plane, along: Plane, across: Plane) -> None:
    """A patch of sun through the leaves above."""
    spot = np.hypot(along * between(rng, 0.6, 1.4), across) / between(rng, 8, 38) + 0.2 * noise(rng, along.shape, 0.6)
    picture *= (1 + between(rng, 0.15, 0.7) * ground * ramp(1 - spot, between(rng, 0.15, 0.5)))[..., None]


def _sunburn(rng: np.random.Generator, picture: Picture, ground: Plane, along: Plane, across: Plane) -> None:
    """A bleached, borderless area."""
    spread = np.hypot(along / between(rng, 25, 60), across / between(rng, 12, 36)) + 0.35 * noise(rng, along.shape, 0.5)
    blend(
        picture,
        between(rng, 0.15, 0.55) * ramp(1 - spread, 0.8) * ground,
        hsv_between(rng, (45, 65), (0.1, 0.4), (0.7, 0.92)),
    )


def _glare(rng: np.random.Generator, picture: Picture, ground: Plane, along: Plane, across: Plane) -> None:
    bands = 0.6 + 0.4 * np.cos(across * np.float32(2 * np.pi / between(rng, 8, 30)))
    fade = ramp(45 - np.hypot(along * 0.7, across), 50)
    sheen = fade * bands * np.clip(0.6 + 0.5 * noise(rng, along.shape, 1), 0, 1)
    blend(picture, between(rng, 0.15, 0.6) * sheen * ground, np.ones(3, np.float32))


def _stain(rng: np.random.Generator, picture: Picture, ground: Plane, along: Plane, across: Plane) -> None:
    """Sap or mud: a thin, uneven brown wash or splashes of even colour."""
    colour = hsv_between(rng, (18, 40), (0.2, 0.6), (0.25, 0.6))
    wash = np.hypot(along / between(rng, 14, 50), across / between(rng, 10, 40)) + 0.5 * noise(rng, along.shape, 0.4)
    blend(picture, between(rng, 0.12, 0.35) * ramp(1 - wash, 0.7) * ground, colour)


# Kind, and how far it reaches in pixels.
IN_THE_LEAF: Kinds = ((_scar, 80), (_fleck, 56), (_sunburn, 80), (_glare, 100), (_stain, 70))
ON_THE_LEAF: Kinds = ((_dust, 48), (_drops, 48), (_hole, 22))
