"""The blade of a banana leaf as a phone sees it: where each pixel lies on the leaf, its veins, outline, tears and
colour.

Knows geometry and leaf colour, not lesions, backgrounds or cameras. A banana blade has one thick midrib; secondary
veins leave it almost squarely, run parallel and sweep towards the tip; the blade tears along them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leafloop.simulation.texture import Colour, Picture, Plane, between, between_log, blend, hsv_between, noise, ramp

# Far beyond any photo: a part of a leaf has no tip in sight.
ENDLESS = 1e6


@dataclass(frozen=True, slots=True)
class Pose:
    """How the leaf lies in the photo. Lengths are pixels at the photo's middle; perspective changes them elsewhere."""

    centre: tuple[float, float]
    angle: float  # radians from the photo's x axis to the midrib
    tilt: tuple[float, float]  # perspective: growth of the scale per pixel, in x and y
    offset: tuple[float, float]  # the photo's middle on the leaf: along and across the midrib
    bend: float  # curvature of the midrib, 1/pixel
    half_width: float
    half_length: float
    vein_slope: float
    vein_sweep: float

    def nearness(self, x: Plane, y: Plane) -> Plane:
        """Local scale: 1 in the middle, larger where the leaf is nearer to the phone."""
        return np.asarray(1 + self.tilt[0] * (x - self.centre[0]) + self.tilt[1] * (y - self.centre[1]), np.float32)

    def on_leaf(self, x: Plane, y: Plane) -> tuple[Plane, Plane]:
        """Photo pixels -> (along the midrib, signed distance across it)."""
        near = self.nearness(x, y)
        dx, dy = (x - self.centre[0]) / near, (y - self.centre[1]) / near
        cosine, sine = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        along = cosine * dx + sine * dy + np.float32(self.offset[0])
        across = cosine * dy - sine * dx + np.float32(self.offset[1]) - np.float32(self.bend) * along * along
        return along, across

    def vein(self, along: Plane, across: Plane) -> Plane:
        """Where on the midrib the vein through a point begins: constant along a vein, so its level lines are the
        veins.
        """
        distance = np.abs(across)
        return along - distance * (self.vein_slope + self.vein_sweep / self.half_width * distance)

    def vein_at(self, x: Plane, y: Plane) -> Plane:
        return self.vein(*self.on_leaf(x, y))

    def frame(self, x: Plane, y: Plane, middle: tuple[float, float]) -> tuple[Plane, Plane]:
        """Pixels -> (along, across) the veins, in pixels from `middle`; follows the veins where they curve."""
        step = np.array([0, -1, 1, 0, 0], np.float32), np.array([0, 0, 0, -1, 1], np.float32)
        start, left, right, up, down = (float(v) for v in self.vein_at(step[0] + middle[0], step[1] + middle[1]))
        slope_x, slope_y = (right - left) / 2, (down - up) / 2
        steepness = max(1e-3, float(np.hypot(slope_x, slope_y)))
        across = (self.vein_at(x, y) - start) / steepness
        along = ((x - middle[0]) * -slope_y + (y - middle[1]) * slope_x) / steepness
        return np.asarray(along, np.float32), np.asarray(across, np.float32)


@dataclass(frozen=True, slots=True)
class Blade:
    """The painted leaf at the base scale. cover: 0-1, leaf or not. living: cover without midrib and dead margin;
    lesions lie there.
    """

    picture: Picture
    cover: Plane
    living: Plane


def pose(rng: np.random.Generator, width: int, height: int, *, whole: bool) -> Pose:
    """A leaf before the phone: whole (it fits the photo, or nearly) or a part of it (the photo is a view of a larger
    leaf).
    """
    short, long = min(width, height), max(width, height)
    if whole:
        half_width, half_length = between(rng, 0.26, 0.55) * short, between(rng, 0.45, 0.9) * long
        angle = (0.0 if width >= height else np.pi / 2) + rng.normal(0, 0.22)
        offset = (between(rng, -0.12, 0.12) * long, between(rng, -0.1, 0.1) * short)
    else:
        half_width, half_length = between_log(rng, 0.45, 1.6) * long, ENDLESS
        angle = between(rng, 0, 2 * np.pi)
        offset = (0.0, between(rng, -0.95, 0.95) * half_width)
    return Pose(
        centre=(width / 2, height / 2),
        angle=float(angle + (np.pi if rng.random() < 0.5 else 0)),
        tilt=(between(rng, -0.35, 0.35) / long, between(rng, -0.35, 0.35) / long),
        offset=offset,
        bend=between(rng, -0.12, 0.12) / long,
        half_width=half_width,
        half_length=half_length,
        vein_slope=between(rng, -0.1, 0.5),
        vein_sweep=between(rng, 0.0, 0.35),
    )


def blade(rng: np.random.Generator, leaf: Pose, x: Plane, y: Plane) -> Blade:
    """Paints the leaf on the pixels x, y (photo pixels, each [rows, columns]); their spacing is the base scale."""
    rows, columns = x.shape
    near = leaf.nearness(x, y)
    along, across = leaf.on_leaf(x, y)
    vein, distance = leaf.vein(along, across), np.abs(across)
    edge = _edge(rng, leaf, along, distance)
    edge = np.minimum(edge, _tears(rng, leaf, vein, across, edge))
    step = float(x[0, 1] - x[0, 0])
    cover = ramp(edge * near, 1.5 * step)
    base = leaf_colour(rng)
    picture = np.empty((rows, columns, 3), np.float32)
    picture[:] = base
    _mottle(rng, picture, base)
    picture *= _relief(rng, vein, across)[..., None]
    dead = _dead_margin(rng, picture, edge)
    rib_width = between(rng, 4.0, 9.0) + between(rng, 0.0, 0.035) * leaf.half_width
    rib = _midrib(rng, picture, base, across, rib_width, near)
    living = cover * (1 - np.maximum(rib, dead)) * ramp(edge - 3, 1.0)
    return Blade(picture, cover, np.asarray(living, np.float32))


def leaf_colour(rng: np.random.Generator) -> Colour:
    """Drawn with no regard to disease: age, feeding, wax and light make leaves green, blue-green, grey or yellowish."""
    kind = rng.random()
    if kind < 0.42:
        return hsv_between(rng, (72, 108), (0.45, 0.85), (0.36, 0.72))  # fresh green
    if kind < 0.62:
        return hsv_between(rng, (105, 165), (0.25, 0.65), (0.28, 0.62))  # blue-green
    if kind < 0.82:
        return hsv_between(rng, (60, 150), (0.05, 0.25), (0.45, 0.72))  # grey, waxy
    if kind < 0.9:
        return hsv_between(rng, (62, 74), (0.4, 0.75), (0.5, 0.72))  # yellowing
    return hsv_between(rng, (85, 135), (0.45, 0.8), (0.26, 0.38))  # dark


def _edge(rng: np.random.Generator, leaf: Pose, along: Plane, distance: Plane) -> Plane:
    """Pixels to the margin, positive on the leaf."""
    taper: Plane | float = 1.0
    if leaf.half_length < ENDLESS:
        taper = np.sqrt(np.clip(1 - np.abs(along / leaf.half_length) ** 2.6, 0, 1))
    wave = (
        leaf.half_width
        * between(rng, 0.0, 0.03)
        * np.sin(along * (2 * np.pi / (leaf.half_width * between(rng, 0.3, 1.2))))
    )
    rough = between(rng, 0.5, 3.0) * noise(rng, along.shape, 0.5)
    return np.asarray(leaf.half_width * taper - distance + wave + rough, np.float32)


def _tears(rng: np.random.Generator, leaf: Pose, vein: Plane, across: Plane, edge: Plane) -> Plane:
    """Pixels to the nearest tear: wedges open at the margin, closed towards the midrib, along the veins."""
    reach = np.full(edge.shape, ENDLESS, np.float32)
    span = float(vein.max() - vein.min())
    for _ in range(int(rng.poisson(1.6)) if rng.random() < 0.6 else 0):
        at, side = float(vein.min()) + span * rng.random(), 1 if rng.random() < 0.5 else -1
        depth = leaf.half_width * between(rng, 0.15, 0.85)
        opening = np.clip(depth - edge, 0, None) * between(rng, 0.01, 0.07)
        wiggle = between(rng, 1, 5) * noise(rng, edge.shape, 1.5)
        tear = np.where((side * across > 0) & (edge < depth), np.abs(vein - at + wiggle) - opening, ENDLESS)
        reach = np.minimum(reach, tear.astype(np.float32))
    return reach


def _mottle(rng: np.random.Generator, picture: Picture, base: Colour) -> None:
    rows, columns = picture.shape[:2]
    other = np.clip(0.6 * base + 0.4 * hsv_between(rng, (58, 150), (0.2, 0.8), (0.35, 0.75)), 0, 1)
    blend(picture, np.clip(between(rng, 0, 0.3) * (1 + noise(rng, (rows, columns), 2)), 0, 0.6), other)


def _relief(rng: np.random.Generator, vein: Plane, across: Plane) -> Plane:
    """Brightness of pleats, veins and the two halves, about 1."""
    shape, period = vein.shape, between_log(rng, 9, 50)
    wobble = _uneven(rng, vein, period) + 0.06 * period * noise(rng, shape, 2.5)
    depth = np.clip(0.7 + 0.6 * noise(rng, shape, 2), 0, 2)
    phase = (vein + wobble) * np.float32(2 * np.pi / period)
    pleats = between(rng, 0.01, 0.1) * depth * np.cos(phase)
    ridges = between(rng, -0.22, 0.2) * depth * np.clip(np.cos(phase + 0.6), 0, 1) ** int(rng.integers(3, 16))
    fine = between(rng, 0.0, 0.06) * np.cos(vein * np.float32(2 * np.pi / (period / between(rng, 2.6, 5.5))))
    halves = between(rng, -0.18, 0.18) * np.tanh(across * np.float32(0.05))
    cloud = between(rng, 0.02, 0.1) * noise(rng, shape, 2.5)
    grain = between(rng, 0.0, 0.05) * noise(rng, shape, 0.5)
    return np.asarray(np.clip(1 + pleats + ridges + fine + halves + cloud + grain, 0.3, 1.9), np.float32)


def _uneven(rng: np.random.Generator, vein: Plane, period: float) -> Plane:
    """Veins are not evenly spaced, but each keeps its place: a shift that depends on the vein alone."""
    low, high = float(vein.min()), float(vein.max())
    knots = np.arange(low - period, high + 3 * period, 2.3 * period)
    shifts = rng.uniform(-0.45, 0.45, len(knots)) * period
    return np.asarray(np.interp(vein, knots, shifts), np.float32)


def _dead_margin(rng: np.random.Generator, picture: Picture, edge: Plane) -> Plane:
    """Dry tan tissue along the margin, on some leaves. Old age, wind and sun make it too, so it is never a lesion."""
    rows, columns = edge.shape
    if rng.random() > 0.3:
        return np.zeros((rows, columns), np.float32)
    width = between(rng, 3, 26)
    dead = ramp(width * (0.9 + 0.5 * noise(rng, (rows, columns), 1)) - edge, 2.5)
    rim = ramp(width * 1.12 * (0.9 + 0.5 * noise(rng, (rows, columns), 1)) - edge, 3) * 0.5
    blend(picture, rim, hsv_between(rng, (35, 55), (0.4, 0.8), (0.5, 0.8)))
    tan = (
        hsv_between(rng, (22, 40), (0.2, 0.5), (0.35, 0.75)) * (1 + 0.12 * noise(rng, (rows, columns), 0.6))[..., None]
    )
    blend(picture, dead, tan.astype(np.float32))
    return np.asarray(np.maximum(dead, rim))


def _midrib(
    rng: np.random.Generator, picture: Picture, base: Colour, across: Plane, width: float, near: Plane
) -> Plane:
    """A round rib: lit on one side, shaded on the other; pale, green or stained brown by age."""
    kind = rng.random()
    if kind < 0.6:
        colour = hsv_between(rng, (48, 80), (0.25, 0.7), (0.55, 0.9))
    elif kind < 0.85:
        colour = base * between(rng, 0.6, 1.4)
    else:
        colour = hsv_between(rng, (12, 40), (0.25, 0.65), (0.25, 0.6))
    light = 1 + between(rng, -0.3, 0.3) * np.clip(across / width, -1.5, 1.5)
    rib = ramp((width - np.abs(across)) * near, 2.0)
    groove = ramp(width * 0.35 - np.abs(across - width * between(rng, -0.6, 0.6)), 2.0) * between(rng, 0, 0.6)
    blend(picture, rib, np.clip(colour * light[..., None], 0, 1).astype(np.float32))
    blend(picture, groove * rib, colour * between(rng, 0.4, 1.1))
    shadow = ramp(width * 1.6 - np.abs(across), width) * (1 - rib) * between(rng, 0, 0.3)
    picture *= (1 - shadow)[..., None]
    grip: Plane = ramp((width + 2 - np.abs(across)) * near, 2.0)
    return grip


def grid(width: int, height: int, step: int) -> tuple[Plane, Plane]:
    """Photo pixels at the middle of each base cell, so that a base picture enlarged by `step` lies exactly on the
    photo.
    """
    columns, rows = -(-width // step), -(-height // step)
    xs = (np.arange(columns, dtype=np.float32) + 0.5) * (width / columns) - 0.5
    ys = (np.arange(rows, dtype=np.float32) + 0.5) * (height / rows) - 0.5
    x, y = np.meshgrid(xs, ys)
    return x, y


def enlarge(plane: Plane, width: int, height: int) -> Plane:
    return (
        plane
        if plane.shape[:2] == (height, width)
        else np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    )
