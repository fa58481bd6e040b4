"""Rendered photos of banana leaves with exact boxes: the same seed and size give the same bytes.

Knows severity numbers, not class names: class 0 is the leaf without a lesion and is never boxed; 1..stages are
lesions by severity. The colour of a leaf, its light and its surroundings are drawn with no regard to disease.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from leafloop.simulation import blemishes, camera, lesions, scenery, surface
from leafloop.simulation.texture import Picture, Plane, between, between_log

View = Literal["part", "whole", "any"]

# The scene is painted on at most this many pixels and enlarged; lesions, blemishes and the camera's work are at full
# size.
BASE_PIXELS = 3_200_000
# Lesions on a leaf: per 256-pixel square of visible leaf, and in all.
DENSITY = (1.2, 7.0)
MOST_LESIONS = 140
# Lesions may touch by this much; more, and one would hide a part of another's box.
OVERLAP_PX = 2


@dataclass(frozen=True)
class RenderedPhoto:
    """A photo and all that is true of it.

    pixels: uint8 [H, W, 3] RGB. class_id: int64 [n], 1..stages. xyxy_px: float32 [n, 4], tight round the lesion as it
    is seen, halo not included (see lesions.py). leaf: bool [H, W], the visible leaf. stage: the largest class id
    shown, 0 when there is none. lesion: uint16 [H, W], 0 or 1 + the index of the box that the pixel belongs to: what
    the boxes were measured from.
    """

    pixels: npt.NDArray[np.uint8]
    class_id: npt.NDArray[np.int64]
    xyxy_px: npt.NDArray[np.float32]
    leaf: npt.NDArray[np.bool_]
    stage: int
    lesion: npt.NDArray[np.uint16]


def render(
    seed: int,
    *,
    width: int,
    height: int,
    stages: int,
    view: View = "any",
    clean: float = 0.25,
    leafless: float = 0.02,
    scale: tuple[float, float] = (0.9, 2.0),
) -> RenderedPhoto:
    """One photo. Raises ValueError for sizes below 64 pixels or stages outside 1-6 (the looks that the literature
    tells apart).

    view: "part" of a leaf (what a close phone sees), a "whole" leaf, or "any" of both. clean: share of leaves without
    a lesion. leafless: share of photos that show surroundings only. scale: of lesions, in pixels; 1 is a spot of
    about 35 pixels.
    """
    if min(width, height) < 64 or not 1 <= stages <= len(lesions.LOOKS):
        most = len(lesions.LOOKS)
        raise ValueError(f"cannot render {width}x{height}, {stages} stages: at least 64 pixels a side, 1-{most} stages")
    rng = np.random.default_rng([seed, width, height])
    empty, healthy, whole = rng.random() < leafless, rng.random() < clean, rng.random() < 0.3
    leaf = surface.pose(rng, width, height, whole=whole if view == "any" else view == "whole")
    scene = _scene(rng, leaf, width, height, empty=empty)
    spots = _places(rng, scene.living, int(rng.poisson(3)))
    blemishes.sprinkle(rng, blemishes.IN_THE_LEAF, scene.pixels, scene.living, leaf, spots)
    infected = 0 if healthy or empty else _dominant(rng, stages)
    drawn = _infect(rng, scene, leaf, infected, stages, between_log(rng, *scale))
    free = _free(drawn, scene.living)
    blemishes.sprinkle(rng, blemishes.ON_THE_LEAF, scene.pixels, free, leaf, _places(rng, free, int(rng.poisson(3))))
    class_id = np.array([stage for stage, _ in drawn], np.int64)
    owner = np.zeros((height, width), np.uint16)
    for index, (_, lesion) in enumerate(drawn):
        owner[lesion.patch.window][lesion.mask] = index + 1
    # Measured after all are painted: where two touch, the later one owns the pixel.
    seen = [owner[lesion.patch.window] == index + 1 for index, (_, lesion) in enumerate(drawn)]
    extents = [lesions.extent(mask, lesion.patch) for mask, (_, lesion) in zip(seen, drawn, strict=True)]
    boxes = np.array(extents, np.float32).reshape(-1, 4)
    return RenderedPhoto(
        pixels=camera.develop(rng, scene.pixels),
        class_id=class_id,
        xyxy_px=boxes,
        leaf=scene.leaf,
        stage=int(class_id.max(initial=0)),
        lesion=owner,
    )


def encode(
    photo: RenderedPhoto,
    seed: int,
    *,
    quality: tuple[int, int] = (70, 95),
    orientation: int | None = None,
    gps: tuple[float, float] | None = None,
) -> bytes:
    """The photo as a phone's JPEG, its quality drawn by `seed` (both ends included). orientation is a tag; the pixels
    stay as they are.
    """
    drawn = int(np.random.default_rng([seed, 1]).integers(quality[0], quality[1] + 1))
    return camera.jpeg(photo.pixels, drawn, orientation=orientation, gps=gps)


@dataclass(frozen=True, slots=True)
class _Scene:
    """Full size. pixels are painted on in place; living: 0-1, leaf that can carry a lesion; shade: light, about 1."""

    pixels: npt.NDArray[np.uint8]
    living: Plane
    shade: Plane
    leaf: npt.NDArray[np.bool_]


def _scene(rng: np.random.Generator, leaf: surface.Pose, width: int, height: int, *, empty: bool) -> _Scene:
    step = int(np.ceil(np.sqrt(width * height / BASE_PIXELS)))
    x, y = surface.grid(width, height, step)
    rows, columns = x.shape
    picture: Picture = scenery.background(rng, rows, columns)
    shade = scenery.light(rng, rows, columns)
    cover: Plane = np.zeros((rows, columns), np.float32)
    living = cover
    if not empty:
        blade = surface.blade(rng, leaf, x, y)
        _drop_shadow(rng, picture, blade.cover)
        picture += blade.cover[..., None] * (blade.picture - picture)
        cover, living = blade.cover, blade.living
    if rng.random() < 0.22:
        hidden = scenery.front(rng, picture)
        cover, living = cover * (1 - hidden), living * (1 - hidden)
    picture *= shade[..., None]
    small = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    pixels = (
        small if step == 1 else np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    )
    full = [surface.enlarge(np.ascontiguousarray(plane, np.float32), width, height) for plane in (cover, living, shade)]
    return _Scene(pixels, full[1], full[2], full[0] >= 0.5)


def _drop_shadow(rng: np.random.Generator, picture: Picture, cover: Plane) -> None:
    reach = between(rng, 2, 16)
    moved = np.roll(cover, (int(rng.integers(-10, 11)), int(rng.integers(-10, 11))), (0, 1))
    picture *= (1 - between(rng, 0.0, 0.5) * cv2.GaussianBlur(moved, (0, 0), reach))[..., None]


def _infect(
    rng: np.random.Generator, scene: _Scene, leaf: surface.Pose, dominant: int, stages: int, scale: float
) -> list[tuple[int, lesions.Lesion]]:
    """Paints lesions of `dominant` and of earlier stages, apart from each other; none for dominant 0."""
    if dominant == 0:
        return []
    squares = float(scene.living.mean()) * scene.living.size / 256**2
    density = between_log(rng, *DENSITY) * (0.5 + dominant / stages)
    wanted = int(np.clip(rng.poisson(squares * density), 3, MOST_LESIONS))
    drawn: list[tuple[int, lesions.Lesion]] = []
    for x, y in _places(rng, scene.living, wanted * 3):
        stage = dominant if rng.random() < 0.55 or not drawn else int(rng.integers(1, dominant + 1))
        look = lesions.LOOKS[_look(stage, stages)]
        size = scale * between(rng, 0.85, 1.15) * float(leaf.nearness(x, y))
        lesion = lesions.draw(
            rng, look, leaf, (float(x), float(y)), size, pixels=scene.pixels, visible=scene.living, shade=scene.shade
        )
        if lesion is None or any(_overlap(lesion.extent_px, other.extent_px) for _, other in drawn):
            continue
        scene.pixels[lesion.patch.window] = np.rint(lesion.pixels * 255).astype(np.uint8)
        drawn.append((stage, lesion))
        if len(drawn) == wanted:
            break
    return drawn


def _dominant(rng: np.random.Generator, stages: int) -> int:
    """Late stages are drawn more often: every leaf carries early lesions too, and each class should have its share of
    boxes.
    """
    weights = 0.5 + np.arange(1, stages + 1) / stages
    return 1 + int(rng.choice(stages, p=weights / weights.sum()))


def _look(stage: int, stages: int) -> int:
    """Fewer stages than looks: the last stage has the last look, the others are spread evenly before it."""
    return len(lesions.LOOKS) - 1 if stages == 1 else round((stage - 1) * (len(lesions.LOOKS) - 1) / (stages - 1))


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across > OVERLAP_PX and down > OVERLAP_PX


def _places(rng: np.random.Generator, living: Plane, count: int) -> npt.NDArray[np.float32]:
    """Points (x, y) on the living leaf, half of them crowded round a few centres. [at most count, 2]."""
    height, width = living.shape
    alive = np.argwhere(living[::8, ::8] > 0.9)
    if len(alive) == 0 or count == 0:
        return np.zeros((0, 2), np.float32)
    points = alive[rng.integers(0, len(alive), count)][:, ::-1] * 8.0 + rng.uniform(0, 8, (count, 2))
    centres = points[rng.integers(0, count, 4)]
    crowd = rng.random(count) < 0.5
    near = centres[rng.integers(0, 4, count)] + rng.normal(0, 90, (count, 2))
    points = np.where(crowd[:, None], near, points)
    inside = (points >= 0).all(1) & (points < (width, height)).all(1)
    points = points[inside]
    seen = living[points[:, 1].astype(np.int64), points[:, 0].astype(np.int64)] > 0.9
    return np.asarray(points[seen], np.float32)


def _free(drawn: list[tuple[int, lesions.Lesion]], living: Plane) -> Plane:
    """The living leaf without lesions and their halos."""
    free = living.copy()
    for _, lesion in drawn:
        left, top, right, bottom = lesion.extent_px
        free[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = 0
    return free
