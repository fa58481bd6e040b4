"""What every format reads, and what every format writes: photos with their labels, and what is wrong. Knows no format.

Three states of a photo that must never be taken for one another: boxes (`boxes` with some), somebody looked and nothing is there
(`boxes == ()`), and nobody said anything of boxes (`boxes is None`: a whole-photo class at most).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from leafloop.learning.datasets.formats.problems import Problem

Side = Literal["train", "val", "test"]
Unit = Literal["share", "pixel"]
SIDES: dict[str, Side] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
OUTCOMES = ("diseased", "healthy", "uncertain", "no_leaf")  # what a photo shows as a whole, as answers say it
MOST_PHOTOS = 1_000_000  # a dataset of a million photos is a research institute's; more is a mistake or an attack
MOST_BOXES = 1_000  # of one photo, as in a review: a leaf of the last stage has a few hundred lesions
PICTURES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".mpo"}
)  # what is a photo by its name; those of a kind that is not taken are named as problems, not passed over


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a class of the dataset, in the photo's `unit`; finite numbers, not checked further. `place`: file and line."""

    class_name: str
    x1: float
    y1: float
    x2: float
    y2: float
    place: str


@dataclass(frozen=True, slots=True)
class ReadPhoto:
    """A photo as a dataset has it. `path`: where its bytes are; `lost`: boxes that could not be read."""

    name: str
    path: Path
    place: str
    side: Side | None = None
    boxes: tuple[Box, ...] | None = None
    lost: int = 0
    unit: Unit = "share"
    class_names: tuple[str, ...] = ()  # what somebody chose for the photo as a whole
    outcome: str | None = None
    size: tuple[int, int] | None = None  # as the dataset says it
    group: str | None = None

    @property
    def says_nothing(self) -> bool:
        """Whether nobody says what the photo shows."""
        return self.boxes is None and not self.class_names and self.outcome is None


@dataclass(frozen=True)
class Dataset:
    """What a format read. `classes`: every class that it knows, used or not."""

    format: str
    classes: tuple[str, ...]
    photos: tuple[ReadPhoto, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class OutPhoto:
    """A photo on its way out. `boxes`: as in `training_data.bbox_data`; None: a weak label. `name`: ours, a file's name alone."""

    name: str
    data: bytes
    width: int
    height: int
    side: Side | None
    boxes: Sequence[dict[str, Any]] | None
    class_name: str | None
    outcome: str | None
    image_hash: str
    original_name: str | None
    group: str | None

    def facts(self) -> dict[str, Any]:
        """What no format has a place for, kept beside."""
        return {"image_hash": self.image_hash, "name": self.original_name, "group": self.group}


def number(value: object) -> float | None:
    """A number of a JSON or YAML file, or None for what is none. May be infinite or NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def numbers(value: object, count: int) -> tuple[float, ...] | None:
    """So many numbers in a list, or None."""
    if not isinstance(value, list) or len(value) != count:
        return None
    found = tuple(number(each) for each in value)
    return None if any(each is None for each in found) else tuple(each for each in found if each is not None)


def enclosing(points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """The upright box around points."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def turned(
    x: float, y: float, w: float, h: float, degrees: float, about: tuple[float, float]
) -> Sequence[tuple[float, float]]:
    """The corners of a box that was turned clockwise, y pointing down, about a point."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    corners = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
    moved = [(cx - about[0], cy - about[1]) for cx, cy in corners]
    return [(about[0] + dx * cosine - dy * sine, about[1] + dx * sine + dy * cosine) for dx, dy in moved]
