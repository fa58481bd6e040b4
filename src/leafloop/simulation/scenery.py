"""What lies behind the leaf and before it: soil, stones, litter, grass, other plants, sky, a white card; blades and
fingers in front.

None of it is a lesion, and much of it looks like one: spotted dead leaves, dark gaps, pebbles with pale rims. Knows
no leaf.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from leafloop.simulation.texture import Colour, Picture, Plane, between, between_log, blend, hsv_between, noise, ramp

Painter = Callable[[np.random.Generator, Picture], None]
# Shapes on one background: more cost time and hide each other.
MOST_SHAPES = 260


def background(rng: np.random.Generator, rows: int, columns: int) -> Picture:
    """One kind of ground, out of focus by chance, float32 RGB [rows, columns, 3]."""
    picture = np.empty((rows, columns, 3), np.float32)
    painter = GROUNDS[int(rng.choice(len(GROUNDS), p=SHARES))]
    painter(rng, picture)
    picture *= (1 + between(rng, 0.03, 0.2) * noise(rng, (rows, columns), 2))[..., None]
    blur = between_log(rng, 0.4, 5.0)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.float32) if blur > 0.7 else picture
    return np.asarray(np.clip(picture * between(rng, 0.55, 1.15), 0, 1), np.float32)


def front(rng: np.random.Generator, picture: Picture) -> Plane:
    """Paints what hides a part of the leaf (another blade, a stalk, a finger) in place; returns its cover, 0-1."""
    rows, columns = picture.shape[:2]
    cover = np.zeros((rows, columns), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        strip = _strip(rng, rows, columns)
        colour = _finger_colour(rng) if rng.random() < 0.25 else hsv_between(rng, (65, 130), (0.25, 0.85), (0.2, 0.7))
        shadow = cv2.GaussianBlur(np.roll(strip, (6, 6), (0, 1)), (0, 0), 5)
        picture *= (1 - between(rng, 0.1, 0.45) * shadow)[..., None]
        lines = 1 + between(rng, 0.02, 0.1) * noise(rng, (rows, columns), 1)
        blend(picture, strip, np.clip(colour * lines[..., None], 0, 1))
        cover = np.maximum(cover, strip)
    return cover


def _strip(rng: np.random.Generator, rows: int, columns: int) -> Plane:
    """A tapering band that enters from an edge of the photo, antialiased."""
    size, mask = min(rows, columns), np.zeros((rows, columns), np.uint8)
    side = between(rng, 0, 2 * np.pi)
    outer = np.array([columns / 2 + np.cos(side) * columns * 0.75, rows / 2 + np.sin(side) * rows * 0.75])
    inner = np.array([columns * between(rng, 0.05, 0.95), rows * between(rng, 0.05, 0.95)])
    direction = inner - outer
    normal = np.array([-direction[1], direction[0]]) / max(1.0, float(np.hypot(*direction)))
    wide, bow = size * between(rng, 0.02, 0.11), size * between(rng, -0.15, 0.15)
    steps = np.linspace(0, 1, 24)[:, None]
    middle = outer + steps * direction + normal * bow * np.sin(np.pi * steps)
    half = normal * wide * np.sqrt(np.clip(1 - steps**4, 0, 1))
    outline = np.vstack([middle + half, (middle - half)[::-1]])
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def _finger_colour(rng: np.random.Generator) -> Colour:
    return hsv_between(rng, (12, 28), (0.25, 0.6), (0.25, 0.9))


def _plain(rng: np.random.Generator, picture: Picture, colour: Colour, unevenness: float) -> None:
    rows, columns = picture.shape[:2]
    picture[:] = colour
    picture *= (1 + unevenness * noise(rng, (rows, columns), between_log(rng, 0.5, 4)))[..., None]


def _soil(rng: np.random.Generator, picture: Picture) -> None:
    _plain(rng, picture, hsv_between(rng, (12, 42), (0.15, 0.6), (0.15, 0.7)), 0.2)
    _scatter(
        rng, picture, between_log(rng, 2, 14), (1.0, 1.7), lambda: hsv_between(rng, (12, 50), (0.03, 0.5), (0.08, 0.85))
    )


def _stones(rng: np.random.Generator, picture: Picture) -> None:
    _plain(rng, picture, hsv_between(rng, (15, 45), (0.1, 0.4), (0.1, 0.4)), 0.2)
    _scatter(
        rng, picture, between_log(rng, 8, 34), (1.0, 1.8), lambda: hsv_between(rng, (10, 60), (0.02, 0.3), (0.2, 0.9))
    )


def _litter(rng: np.random.Generator, picture: Picture) -> None:
    _plain(rng, picture, hsv_between(rng, (15, 40), (0.2, 0.5), (0.08, 0.35)), 0.2)
    _scatter(
        rng,
        picture,
        between_log(rng, 10, 44),
        (1.6, 5.0),
        lambda: hsv_between(rng, (12, 52), (0.15, 0.75), (0.12, 0.8)),
    )
    _spots(rng, picture, int(rng.integers(10, 60)))


def _grass(rng: np.random.Generator, picture: Picture) -> None:
    _plain(rng, picture, hsv_between(rng, (50, 120), (0.3, 0.7), (0.06, 0.4)), 0.25)
    rows, columns = picture.shape[:2]
    lean, length = between(rng, 0, 2 * np.pi), between(rng, 30, 160)
    for _ in range(MOST_SHAPES):
        start = rng.uniform((-20, -20), (columns + 20, rows + 20))
        turn = lean + rng.normal(0, 0.6)
        end = start + length * rng.uniform(0.5, 1.3) * np.array([np.cos(turn), np.sin(turn)])
        colour = hsv_between(rng, (48, 125), (0.2, 0.85), (0.12, 0.8))
        cv2.line(picture, _point(start), _point(end), _bgr(colour), int(rng.integers(1, 8)), cv2.LINE_AA)


def _plants(rng: np.random.Generator, picture: Picture) -> None:
    """Other leaves, with gaps of shade or sky between. Without spots: on a 256-pixel tile nobody could tell them from
    the leaf looked at.
    """
    sky = rng.random() < 0.25
    _plain(
        rng,
        picture,
        hsv_between(rng, (190, 215), (0.05, 0.3), (0.8, 1.0))
        if sky
        else hsv_between(rng, (70, 130), (0.2, 0.6), (0.03, 0.2)),
        0.1,
    )
    rows, columns = picture.shape[:2]
    for _ in range(int(rng.integers(5, 22))):
        strip = _strip(rng, rows, columns)
        colour = hsv_between(rng, (58, 135), (0.3, 0.9), (0.12, 0.75))
        blend(picture, strip, colour * between(rng, 0.7, 1.2))


def _sky(rng: np.random.Generator, picture: Picture) -> None:
    _plain(rng, picture, hsv_between(rng, (190, 225), (0.02, 0.5), (0.7, 1.0)), 0.05)


def _card(rng: np.random.Generator, picture: Picture) -> None:
    _plain(rng, picture, hsv_between(rng, (20, 220), (0.0, 0.07), (0.65, 1.0)), 0.03)


def _dark(rng: np.random.Generator, picture: Picture) -> None:
    _plain(rng, picture, hsv_between(rng, (20, 160), (0.0, 0.4), (0.02, 0.2)), 0.25)


def _wall(rng: np.random.Generator, picture: Picture) -> None:
    """Cloth, brick, wood: bands of one colour."""
    _plain(rng, picture, hsv_between(rng, (0, 360), (0.02, 0.35), (0.2, 0.85)), 0.08)
    columns = picture.shape[1]
    bands = between(rng, 0.02, 0.2) * np.sin(np.arange(columns, dtype=np.float32) * 2 * np.pi / between(rng, 8, 120))
    picture *= (1 + bands)[None, :, None]


GROUNDS: tuple[Painter, ...] = (_soil, _stones, _litter, _grass, _plants, _sky, _card, _dark, _wall)
SHARES = (0.16, 0.12, 0.2, 0.12, 0.2, 0.04, 0.06, 0.05, 0.05)


def _scatter(
    rng: np.random.Generator,
    picture: Picture,
    size: float,
    elongation: tuple[float, float],
    colour: Callable[[], Colour],
) -> None:
    """Overlapping rounded or angular pieces, each with its shadow."""
    rows, columns = picture.shape[:2]
    for _ in range(int(np.clip(2.5 * rows * columns / (size * size * 6), 30, MOST_SHAPES))):
        middle, radius = rng.uniform((-10, -10), (columns + 10, rows + 10)), size * between(rng, 0.4, 1.6)
        stretch = between(rng, *elongation) ** 0.5
        axes = np.array([radius * stretch, radius / stretch])
        outline = _outline(rng, axes, round_=rng.random() < 0.5)
        tone, drop = colour(), radius * between(rng, 0.1, 0.35) + 1
        _fill(picture, outline + middle + drop, tone * 0.25)
        _fill(picture, outline + middle, tone)
        if rng.random() < 0.35:
            _fill(picture, outline * 0.6 + middle, tone * between(rng, 0.8, 1.3))


def _spots(rng: np.random.Generator, picture: Picture, count: int) -> None:
    """Dark spots and holes on the ground's own dead leaves."""
    rows, columns = picture.shape[:2]
    for _ in range(count):
        middle, size = rng.uniform((0, 0), (columns, rows)), between_log(rng, 2, 16)
        outline = _outline(rng, np.array([size, size * between(rng, 0.3, 1)]), round_=True)
        if rng.random() < 0.3:
            _fill(picture, outline * 1.6 + middle, hsv_between(rng, (35, 60), (0.3, 0.9), (0.4, 0.9)))
        _fill(picture, outline + middle, hsv_between(rng, (0, 40), (0.1, 0.6), (0.02, 0.3)))


def _outline(rng: np.random.Generator, axes: np.ndarray, *, round_: bool) -> np.ndarray:
    corners = 18 if round_ else int(rng.integers(5, 9))
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    rim = (
        np.stack([np.cos(turns), np.sin(turns)], -1)
        * axes
        * rng.uniform(*((0.9, 1.1) if round_ else (0.6, 1.3)), (corners, 1))
    )
    angle = between(rng, 0, np.pi)
    spin = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(rim @ spin)


def _fill(picture: Picture, outline: np.ndarray, colour: Colour) -> None:
    cv2.fillPoly(picture, [np.round(outline).astype(np.int32)], _bgr(colour), cv2.LINE_AA)


def _point(xy: np.ndarray) -> tuple[int, int]:
    return int(xy[0]), int(xy[1])


def _bgr(colour: Colour) -> tuple[float, float, float]:
    """A colour as OpenCV takes it. The picture is RGB; OpenCV does not care."""
    return float(colour[0]), float(colour[1]), float(colour[2])


def light(rng: np.random.Generator, rows: int, columns: int) -> Plane:
    """The sun on the scene: a slope of brightness, soft or hard shadows, dappled light. About 1, [rows, columns]."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    shade = 1 + between(rng, -0.25, 0.25) * (x / columns - 0.5) + between(rng, -0.25, 0.25) * (y / rows - 0.5)
    if rng.random() < 0.35:
        turn, size = between(rng, 0, 2 * np.pi), float(max(rows, columns))
        border = (x - columns * rng.random()) * float(np.cos(turn)) + (y - rows * rng.random()) * float(np.sin(turn))
        border = border + size * between(rng, 0, 0.05) * cv2.GaussianBlur(noise(rng, (rows, columns), 3), (0, 0), 5)
        band = ramp(size * between(rng, 0.08, 0.5) - np.abs(border), between(rng, 2, 40))
        shade = shade * (1 - between(rng, 0.15, 0.5) * band)
    if rng.random() < 0.15:
        cloud = cv2.GaussianBlur(noise(rng, (rows, columns), between(rng, 0.8, 2.5)), (0, 0), between(rng, 3, 10))
        dapple = ramp(cloud + between(rng, -1.0, 0.6), between(rng, 0.4, 1.2))
        shade = shade * (1 - between(rng, 0.15, 0.4) * dapple)
    return np.asarray(np.clip(shade, 0.45, 1.5), np.float32)
