"""What a dataset says of its photos, in pixels and in the taxonomy's words. Knows no table and no format.

Boxes become pixels of the upright photo, and classes those of the taxonomy. What an option repairs is noted as repaired; what none
does stays a problem.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from leafloop.learning.datasets.formats.dataset import Box, ReadPhoto
from leafloop.learning.datasets.formats.notes import Notes
from leafloop.learning.datasets.looking import Picture
from leafloop.taxonomy import Taxonomy

SLACK_PX = 0.5  # how far an edge may lie outside: formats round; it is then set to the photo's edge
MIN_SIDE_PX = 1.0  # less is no place on a photo
EDGES = ("x1", "y1", "x2", "y2")

Boxes = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photo with its label in the taxonomy's words. `boxes`: as in `training_data.bbox_data`; None: a weak label."""

    read: ReadPhoto
    picture: Picture
    boxes: Boxes | None
    class_id: int | None
    outcome: str | None

    @property
    def label(self) -> tuple[Boxes | None, int | None, str | None]:
        return self.boxes, self.class_id, self.outcome


def same_label(
    one: tuple[Boxes | None, int | None, str | None], other: tuple[Boxes | None, int | None, str | None]
) -> bool:
    """Whether two labels (boxes, class, outcome) say the same: boxes to half a pixel, in any order."""
    boxes, others = one[0], other[0]
    if one[1:] != other[1:] or boxes is None or others is None:
        return one == other
    left = list(others)
    for box in boxes:
        twin = next((each for each in left if _same_box(box, each)), None)
        if twin is None:
            return False
        left.remove(twin)
    return not left


def _same_box(one: dict[str, Any], other: dict[str, Any]) -> bool:
    near = (abs(one["bbox"][edge] - other["bbox"][edge]) <= SLACK_PX for edge in EDGES)
    return bool(one["class_id"] == other["class_id"]) and all(near)


@dataclass(frozen=True)
class ClassMap:
    """Names of a dataset -> classes of the taxonomy; None: boxes of it are dropped. Names that are equal need no entry."""

    taxonomy: Taxonomy
    given: Mapping[str, str | None]

    def unmapped(self, names: Iterable[str]) -> list[str]:
        return [
            name for name in dict.fromkeys(names) if name not in self.given and name not in self.taxonomy.class_names
        ]

    def id_of(self, name: str) -> int | None:
        """The class's id; None: dropped, or not mapped at all."""
        target = self.given.get(name, name)
        return self.taxonomy.class_names.index(target) if target in self.taxonomy.class_names else None

    def as_dict(self, names: Iterable[str]) -> dict[str, str | None]:
        """Every name that was read, and what it became."""
        ids = {name: self.id_of(name) for name in dict.fromkeys(names)}
        return {name: None if index is None else self.taxonomy.class_names[index] for name, index in ids.items()}


def candidate(photo: ReadPhoto, picture: Picture, classes: ClassMap, notes: Notes) -> Candidate | None:
    """A photo's label in the taxonomy's words and in pixels; None: it is left out, and why is among the notes."""
    if photo.size is not None and not _fits(photo, picture):
        told = f"the dataset says {photo.size[0]} x {photo.size[1]} pixels; upright it has {picture.width} x {picture.height}"
        notes.note("size_differs", photo.place, told)
        return None
    if photo.says_nothing:
        notes.note("missing_label", photo.place, "write an empty label file if somebody looked and nothing is there")
        if not notes.repairs.missing_is_empty:
            return None
        photo = replace(photo, boxes=())
    if photo.boxes is None:
        return _weak(photo, picture, classes, notes)
    boxes, lost = _settled(photo, photo.boxes, picture, classes, notes)
    if lost and not boxes:
        notes.note("photo_without_rest", photo.place, f"none of its {lost} boxes is left")
        return None
    return Candidate(photo, picture, boxes, _stage(boxes, classes.taxonomy), _outcome(boxes, photo, classes.taxonomy))


def _fits(photo: ReadPhoto, picture: Picture) -> bool:
    """Pixels need the same size; shares only the same shape, so that a smaller copy will do."""
    width, height = photo.size or (0, 0)
    if photo.unit == "pixel":
        return (width, height) == (picture.width, picture.height)
    return abs(width * picture.height - height * picture.width) <= max(width, height, picture.width, picture.height)


def _weak(photo: ReadPhoto, picture: Picture, classes: ClassMap, notes: Notes) -> Candidate | None:
    if not photo.class_names:
        return Candidate(photo, picture, None, None, photo.outcome)
    if classes.unmapped(photo.class_names):
        return None
    ids = {class_id for name in photo.class_names if (class_id := classes.id_of(name)) is not None}
    told = ", ".join(photo.class_names)
    if len(ids) > 1:
        hint = "What is no class of this kind, --map NAME= leaves out"
        notes.note("class_ambiguous", photo.place, f"it has the classes {told} as a whole. {hint}")
        return None
    if not ids:
        notes.note("photo_without_rest", photo.place, f"its class '{told}' is dropped")
        return None
    (class_id,) = ids
    return Candidate(
        photo, picture, None, class_id, "healthy" if class_id in classes.taxonomy.healthy_ids else "diseased"
    )


def _settled(
    photo: ReadPhoto, boxes: tuple[Box, ...], picture: Picture, classes: ClassMap, notes: Notes
) -> tuple[Boxes, int]:
    """The boxes that stay, and how many do not."""
    kept: Boxes = []
    seen: set[tuple[int, ...]] = set()
    lost = photo.lost
    for box in boxes:
        class_id = classes.id_of(box.class_name)
        edges = _edges(box, photo, picture, notes)
        if class_id is None or edges is None:
            lost += 1
            if class_id is None and box.class_name in classes.given:
                notes.note("box_dropped", box.place, f"its class '{box.class_name}' is dropped")
            continue
        key = (class_id, *(round(2 * edge) for edge in edges))  # to half a pixel
        if key in seen:
            notes.note("box_double", box.place, "it stands there before")
            continue
        seen.add(key)
        name = classes.taxonomy.class_names[class_id]
        kept.append({"class_id": class_id, "class_name": name, "bbox": dict(zip(EDGES, edges, strict=True))})
    return kept, lost


def _edges(box: Box, photo: ReadPhoto, picture: Picture, notes: Notes) -> tuple[float, float, float, float] | None:
    """A box in pixels, clipped to the photo; None: it is no box, or reaches out of the photo."""
    across, down = (picture.width, picture.height) if photo.unit == "share" else (1, 1)
    x1, y1, x2, y2 = box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down
    if not all(map(math.isfinite, (x1, y1, x2, y2))):  # a finite share can be too large for pixels
        notes.note("box_not_finite", box.place, "its place is no number of pixels")
        return None
    left, top = max(0.0, x1), max(0.0, y1)
    right, bottom = min(float(picture.width), x2), min(float(picture.height), y2)
    told = f"{x1:.6g},{y1:.6g} to {x2:.6g},{y2:.6g} in a photo of {picture.width} x {picture.height} pixels"
    if min(right - left, bottom - top) < MIN_SIDE_PX:
        notes.note("box_empty", box.place, told)
        return None
    if max(left - x1, top - y1, x2 - right, y2 - bottom) > SLACK_PX:
        notes.note("box_outside", box.place, told)
        if not notes.repairs.clip:
            return None
    return left, top, right, bottom


def _stage(boxes: Boxes, taxonomy: Taxonomy) -> int | None:
    """The most advanced class sets a photo's, as in a verdict."""
    ids = [box["class_id"] for box in boxes]
    return max(ids, key=lambda each: (taxonomy.classes[each].severity, each), default=None)


def _outcome(boxes: Boxes, photo: ReadPhoto, taxonomy: Taxonomy) -> str | None:
    """Nothing found is not healthy: a dataset that shows nothing on a photo does not say what it is, unless it does."""
    if not boxes:
        return photo.outcome
    return "healthy" if all(box["class_id"] in taxonomy.healthy_ids for box in boxes) else "diseased"
