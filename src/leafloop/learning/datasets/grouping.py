"""Which photos of a dataset belong together, by their names: tiles of one photo, and changed copies of it. Knows no pixels.

Photos of one group never fall on both sides of a split. A group that a person's own expression finds is known; so is the photo that
Roboflow names in its copies. What only looks like tiles is put together too, and may train but never test.
"""

from __future__ import annotations

import hashlib
import math
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from leafloop.errors import RequestInvalid

# leaf_jpg.rf.0123456789abcdef.jpg: every changed copy of leaf.jpg has this name with another hash.
ROBOFLOW = re.compile(
    r"^(?P<parent>.+?)(?:_(?:jpe?g|png|webp|heic|bmp|tiff?))?\.rf\.[0-9A-Za-z]{16,40}$", re.IGNORECASE
)
# leaf_0_256, leaf-x0-y256, leaf_r0_c1, leaf__960__824 (DOTA's): where a tile was cut. Five digits: a camera's date and time have
# six or more.
PLACE = re.compile(
    r"^(?P<parent>.+?)[_-]+(?:x|r|row|c|col)?(\d{1,5})(?:[_-]+(?:y|r|row|c|col)?|(?:y|r|row|c|col))(\d{1,5})$",
    re.IGNORECASE,
)
# leaf_0_0_512_512 (SAHI's): both corners of a tile, or its corner and its size.
BOX = re.compile(r"^(?P<parent>.+?)" + 4 * r"[_-]+[xywh]?(\d{1,5})" + "$", re.IGNORECASE)
TILE = re.compile(r"^(?P<parent>.+?)[_-]+(?:tile|patch|crop|slice)[_-]?\d{1,5}$", re.IGNORECASE)
STEP = 32  # pixels: the least step and size of tiles; names that count photos have smaller numbers
LONGEST = 200  # the column's width


@dataclass(frozen=True, slots=True)
class Grouped:
    """`group`: None stands for itself. `how`: what told it."""

    group: str | None
    may_test: bool
    how: str


@dataclass(frozen=True)
class Grouping:
    """A group for each name, in the names' order, and what was recognised: how -> number of photos."""

    photos: tuple[Grouped, ...]

    @property
    def recognised(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for photo in self.photos:
            found[photo.how] = found.get(photo.how, 0) + 1
        return found


def group(names: Sequence[str], expression: str | None, dataset: str) -> Grouping:
    """Put names together. `dataset` is part of a group's name: two datasets' `IMG_1` are two photos.

    Raises `RequestInvalid` for an expression that cannot be used.
    """
    if expression is not None:
        pattern = compiled(expression)
        return Grouping(tuple(_by_expression(pattern, name, dataset) for name in names))
    stems = [posixpath.splitext(posixpath.basename(name))[0] for name in names]
    tiled = _tiled([_without_roboflow(stem) for stem in stems])
    return Grouping(tuple(_by_form(stem, tiled, dataset) for stem in stems))


def compiled(expression: str) -> re.Pattern[str]:
    """An expression that names parents. Raises `RequestInvalid` for one that cannot be used."""
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise RequestInvalid(f"--group-regex is not a regular expression: {error}.", field="group-regex") from None
    if not pattern.groups:
        raise RequestInvalid(
            "--group-regex needs a group that is the parent's name: '(.+)_tile' or '(?P<parent>.+)_tile'.",
            field="group-regex",
        )
    return pattern


def _by_expression(pattern: re.Pattern[str], name: str, dataset: str) -> Grouped:
    # A folder is no part of a parent's name: one photo's tiles lie in the folders of several sides.
    match = pattern.search(posixpath.basename(name)) or (pattern.search(name) if "/" in pattern.pattern else None)
    parent = (
        None if match is None else match.groupdict().get("parent") or match.groupdict().get("group") or match.group(1)
    )
    if not parent:
        return Grouped(None, False, "not matched by the expression")
    return Grouped(named(dataset, parent), True, "by the expression")


def _by_form(stem: str, tiled: set[str], dataset: str) -> Grouped:
    whole = _without_roboflow(stem)
    parent = whole if whole in tiled else _tile_of(whole)[0]  # the photo itself may lie beside its tiles
    if parent in tiled:
        return Grouped(named(dataset, parent), False, "tiles of a photo, by their names")
    if whole != stem:
        return Grouped(named(dataset, whole), True, "copies of a photo, as Roboflow names them")
    return Grouped(None, True, "each photo for itself")


def _without_roboflow(stem: str) -> str:
    match = ROBOFLOW.match(stem)
    return match["parent"] if match else stem


def _tile_of(stem: str) -> tuple[str, bool]:
    """The photo that a name may be a tile of (itself: of none), and whether the name alone says that it is one."""
    if match := TILE.match(stem):
        return match["parent"], True
    if (match := BOX.match(stem)) and _is_box(*map(int, match.groups()[1:])):
        return match["parent"], True
    if match := PLACE.match(stem):
        return match["parent"], math.gcd(*map(int, match.groups()[1:])) >= STEP
    return stem, False


def _is_box(x: int, y: int, across: int, down: int) -> bool:
    """Whether four numbers are two corners, or a corner and a size, of something as large as a tile."""
    return min(across, down) >= STEP and (min(across - x, down - y) >= STEP or not (x % STEP or y % STEP))


def _tiled(stems: Sequence[str]) -> set[str]:
    """Photos of which there are tiles: a name says so, or several differ in nothing but two numbers at their end.

    Those may count photos all the same. That they then cannot test is seen and put right by an expression; a leak is not seen.
    """
    found: set[str] = set()
    maybe: set[str] = set()
    for stem in set(stems):
        parent, sure = _tile_of(stem)
        if parent != stem:
            (found if sure or parent in maybe else maybe).add(parent)
    return found


def named(dataset: str, parent: str) -> str:
    """A group's name, as long as its column takes; a longer one ends in the hash of the whole."""
    whole = f"{dataset}:{parent}"
    return (
        whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 17]}~{hashlib.sha256(whole.encode()).hexdigest()[:16]}"
    )
