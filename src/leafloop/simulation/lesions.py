"""Lesions of Black Sigatoka in six looks, pale specks to dry grey spots, each with the exact mask of what was painted.

Knows looks by severity, not by name. After E. Fouré, "Les cercosporioses du bananier et leurs traitements.
Comportement des variétés", Fruits 42 (1987), and D. S. Meredith and J. S. Lawrence, "Black leaf streak disease of
bananas: symptoms of disease development in Hawaii", Trans. Br. mycol. Soc. 52 (1969):
  1 pale specks; 2 short rusty streaks along the veins; 3 longer, dark brown streaks; 4 elliptical black-brown spots;
  5 black spots with a yellow halo; 6 a dry grey centre in a dark ring, with a halo.
Sizes are drawn closer together than in nature (a mature spot is twenty times a speck), so that all can be seen in one
photo.

The rule for boxes: the tight extent of the dead or discoloured tissue itself (specks, streak, spot, ring), as painted
and where visible. The yellow halo is not included: it fades out, and two people would end it at different pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leafloop.simulation.surface import Pose
from leafloop.simulation.texture import Colour, Picture, Plane, between, blend, hsv_between, noise, ramp

Mask = npt.NDArray[np.bool_]
Range = tuple[float, float]
Tint = tuple[Range, Range, Range]  # hue in degrees, saturation, value


@dataclass(frozen=True, slots=True)
class Look:
    """Half sizes in pixels at scale 1, along and across the veins; tints; how opaque. specks > 0: a group of dots,
    not one shape.
    """

    half_length: Range
    half_width: Range
    tissue: Tint
    opacity: Range
    bluntness: Range
    specks: int = 0
    halo: Tint | None = None
    halo_strength: Range = (0.0, 0.0)
    centre: Tint | None = None


LOOKS = (
    Look((8, 13), (6, 9), ((50, 66), (0.25, 0.6), (0.82, 1.0)), (0.75, 0.95), (2, 2), specks=6),
    Look((9, 13), (4.7, 5.8), ((13, 27), (0.62, 0.92), (0.42, 0.68)), (0.8, 0.95), (1.7, 2.2)),
    Look(
        (28, 50),
        (4.8, 7),
        ((-15, 30), (0.32, 0.75), (0.2, 0.36)),
        (0.85, 0.97),
        (1.5, 2.1),
        halo=((40, 56), (0.5, 0.85), (0.6, 0.8)),
        halo_strength=(0.0, 0.65),
    ),
    Look((12, 25), (8, 12), ((0, 35), (0.2, 0.6), (0.05, 0.17)), (0.93, 1.0), (1.8, 2.4)),
    Look(
        (12, 25),
        (8, 12),
        ((0, 35), (0.2, 0.6), (0.03, 0.13)),
        (0.95, 1.0),
        (1.8, 2.4),
        halo=((42, 55), (0.75, 1.0), (0.85, 1.0)),
        halo_strength=(0.85, 1.0),
    ),
    Look(
        (20, 42),
        (9.5, 16),
        ((5, 30), (0.3, 0.7), (0.08, 0.22)),
        (0.95, 1.0),
        (1.7, 2.4),
        halo=((38, 54), (0.6, 1.0), (0.75, 1.0)),
        halo_strength=(0.5, 0.95),
        centre=((20, 48), (0.03, 0.22), (0.62, 0.9)),
    ),
)
# Below this short side a box is a few pixels of blur: neither a person nor the detector could say which stage it is.
SMALLEST_BOX_PX = 9
# Mean RGB difference (sum over channels, 0-3) to the leaf beneath: fainter lesions would carry a label nobody can
# check.
FAINTEST = 0.28
# A spot whose halo does not stand out from a yellowing leaf would be taken for the stage before.
FAINTEST_HALO = 0.4
# Less visible than this share, and the lesion is not drawn: half a spot behind a stalk has no honest stage.
LEAST_VISIBLE = 0.75


@dataclass(frozen=True, slots=True)
class Patch:
    """A window of the photo: corner and pixel coordinates."""

    left: int
    top: int
    x: Plane
    y: Plane

    @property
    def window(self) -> tuple[slice, slice]:
        rows, columns = self.x.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


def patch(width: int, height: int, middle: tuple[float, float], radius: float) -> Patch:
    """The part of the photo within `radius` of `middle`, at least one pixel."""
    left, top = (max(0, int(value - radius)) for value in middle)
    right, bottom = min(width, int(middle[0] + radius) + 2), min(height, int(middle[1] + radius) + 2)
    x, y = np.meshgrid(np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32))
    return Patch(left, top, x, y)


@dataclass(frozen=True, slots=True)
class Lesion:
    """A painted lesion, not yet on the photo: where, its pixels (0-1 RGB), its mask, its extent with halo (x0, y0,
    x1, y1).
    """

    patch: Patch
    pixels: Picture
    mask: Mask
    extent_px: tuple[int, int, int, int]


def draw(
    rng: np.random.Generator,
    look: Look,
    leaf: Pose,
    middle: tuple[float, float],
    scale: float,
    *,
    pixels: npt.NDArray[np.uint8],
    visible: Plane,
    shade: Plane,
) -> Lesion | None:
    """Paints one lesion at `middle` on a copy of the photo's patch; None where it would be faint, hidden, tiny or cut
    by the frame.

    pixels: uint8 [H, W, 3]; visible: 0-1 [H, W], the living leaf that nothing hides; shade: light on the scene, about
    1.
    """
    height, width = visible.shape
    size = (
        between(rng, *look.half_length) * scale,
        max(between(rng, *look.half_width) * scale, SMALLEST_BOX_PX / 2 + 0.3),
    )
    spread = 2.3 if look.halo else 1.25
    area = patch(width, height, middle, size[0] * spread + 6)
    along, across = leaf.frame(area.x, area.y, middle)
    under = pixels[area.window].astype(np.float32) / 255
    seen, sun = visible[area.window], shade[area.window]
    tissue = _specks(rng, look, along, across, size) if look.specks else _spot(rng, look, along, across, size)
    core = ramp(1 - tissue, max(0.12, 1.5 / size[1]))
    mask: Mask = (core * seen) >= 0.5
    if not _showable(core >= 0.5, mask, area, width, height):
        return None
    painted = under.copy()
    halo = _paint_halo(rng, look, painted, along, across, size, tissue, seen, sun)
    grain = 1 + between(rng, 0.03, 0.15) * noise(rng, seen.shape, 0.4)
    texture = (sun * grain)[..., None]
    opacity = between(rng, *look.opacity)
    blend(painted, core * seen * opacity, _tinted(rng, look.tissue) * texture)
    dry = np.zeros_like(core)
    if look.centre:
        inner = tissue + between(rng, 0.05, 0.12) * noise(rng, seen.shape, max(0.25, size[1] / 16))
        dry = ramp(between(rng, 0.6, 0.76) - inner, max(0.15, 1.5 / size[1]))
        blend(painted, dry * seen * opacity, _tinted(rng, look.centre) * texture)
    elif look.specks == 0 and size[1] > 6:
        painted *= (1 + 0.25 * ramp(0.5 - tissue, 0.4) * seen * (rng.random() < 0.5))[..., None]
    if _faint(
        painted, under, mask, halo if look.halo and look.halo_strength[0] > 0 else None, dry if look.centre else None
    ):
        return None
    return Lesion(area, np.clip(painted, 0, 1), mask, extent((halo > 0.25) | mask, area))


def _spot(rng: np.random.Generator, look: Look, along: Plane, across: Plane, size: tuple[float, float]) -> Plane:
    """Distance from the middle, 1 on the outline: a rough superellipse along the veins, now and then with a lobe
    grown into it.
    """
    power = between(rng, *look.bluntness)
    distance = _ellipse(along, across, size, power)
    if size[1] > 7 and rng.random() < 0.4:
        shift = between(rng, -0.8, 0.8) * size[0], between(rng, -0.7, 0.7) * size[1]
        share = between(rng, 0.45, 0.75)
        lobe = _ellipse(along - shift[0], across - shift[1], (size[0] * share, size[1] * share), power)
        distance = np.minimum(distance, lobe)
    rough = noise(rng, distance.shape, max(0.25, size[1] / 14))
    # Veins hold a lesion in: its outline is ragged across them, in strips along them.
    strips = np.cos(across * np.float32(2 * np.pi / between(rng, 4, 9)) + np.float32(between(rng, 0, 6)))
    ragged = between(rng, 0.05, 0.19) * rough + between(rng, 0, 0.045) * strips
    return np.asarray(distance + ragged, np.float32)


def _ellipse(along: Plane, across: Plane, size: tuple[float, float], power: float) -> Plane:
    return np.asarray((np.abs(along / size[0]) ** power + np.abs(across / size[1]) ** power) ** (1 / power), np.float32)


def _specks(rng: np.random.Generator, look: Look, along: Plane, across: Plane, size: tuple[float, float]) -> Plane:
    """A group of dots round the middle; the value is 1 on each dot's outline."""
    nearest = np.full(along.shape, 9.0, np.float32)
    count = look.specks + int(rng.integers(-1, 4))
    for turn in (np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.35, count)).tolist():
        reach, dot = between(rng, 0.1, 0.95), between(rng, 0.17, 0.27) * size[1] + 0.5
        spot = reach * float(np.cos(turn)) * size[0], reach * float(np.sin(turn)) * size[1]
        nearest = np.minimum(
            nearest, _ellipse(along - spot[0], across - spot[1], (dot * between(rng, 1, 1.7), dot), 2.0)
        )
    return nearest


def _paint_halo(
    rng: np.random.Generator,
    look: Look,
    painted: Picture,
    along: Plane,
    across: Plane,
    size: tuple[float, float],
    tissue: Plane,
    seen: Plane,
    sun: Plane,
) -> Plane:
    """A yellow lens: it reaches far beyond the spot along the veins and little across them. Returns its opacity."""
    if not look.halo:
        return np.zeros_like(seen)
    reach, girth = size[0] * between(rng, 1.5, 2.1), size[1] * between(rng, 1.45, 1.9) + 2
    lens = np.abs(along / reach) ** between(rng, 1.1, 1.6) + (across / girth) ** 2
    lens = lens + between(rng, 0.08, 0.25) * noise(rng, lens.shape, max(0.3, size[1] / 10))
    rim = ramp(1.35 - tissue, 0.5)
    halo = between(rng, *look.halo_strength) * np.maximum(ramp(0.95 - lens, between(rng, 0.35, 0.8)), rim) * seen
    blend(painted, halo, _tinted(rng, look.halo) * sun[..., None])
    return np.asarray(halo, np.float32)


def _tinted(rng: np.random.Generator, tint: Tint) -> Colour:
    return hsv_between(rng, *tint)


def _showable(whole: Mask, seen: Mask, area: Patch, width: int, height: int) -> bool:
    """Mostly visible, not tiny, and away from the photo's border: a lesion cut by the frame is not drawn."""
    if whole.sum() == 0 or seen.sum() < LEAST_VISIBLE * whole.sum():
        return False
    left, top, right, bottom = extent(seen, area)
    inside = left > 0 and top > 0 and right < width and bottom < height
    return inside and min(right - left, bottom - top) >= SMALLEST_BOX_PX


def _faint(painted: Picture, under: Picture, mask: Mask, halo: Plane | None, dry: Plane | None) -> bool:
    """Whether any part that tells the stage would hardly be seen: tissue, strong halo, dry centre against its ring."""
    change = np.abs(painted - under).sum(-1)
    if float(change[mask].mean()) < FAINTEST:
        return True
    if halo is not None:
        ring = (halo > 0.5) & ~mask
        if ring.sum() < mask.sum() * 0.3 or float(change[ring].mean()) < FAINTEST_HALO:
            return True
    if dry is not None:
        pale = (dry > 0.5) & mask
        dark = mask & (dry < 0.2)
        if pale.sum() < 20 or dark.sum() < 20:
            return True
        return float(painted[pale].mean() - painted[dark].mean()) < 0.15
    return False


def extent(mask: Mask, area: Patch) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 in photo pixels; the last ones are exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        area.left + int(columns[0]),
        area.top + int(rows[0]),
        area.left + int(columns[-1]) + 1,
        area.top + int(rows[-1]) + 1,
    )
