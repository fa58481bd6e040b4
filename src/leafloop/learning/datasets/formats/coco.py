"""COCO in and out: photos, boxes in pixels and classes in one JSON file, or one a side.

COCO does not say whether a photo without annotations was looked at; ours carries that beside, under a key of its own.
"""

from __future__ import annotations

import contextlib
import json
import math
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from leafloop.learning.datasets.formats.dataset import (
    MOST_BOXES,
    OUTCOMES,
    SIDES,
    Box,
    Dataset,
    OutPhoto,
    ReadPhoto,
    Side,
    enclosing,
    number,
    numbers,
    turned,
)
from leafloop.learning.datasets.formats.files import Files, inside
from leafloop.learning.datasets.formats.problems import Problem, Wrong, problem

OURS = "leafloop"  # the key under which a photo's own facts stand
ANNOTATIONS = "annotations.json"
Corners = tuple[float, float, float, float]


def describes(files: Files) -> list[str]:
    """The JSON files that can be COCO's: those that hold an object. The one that was named counts alone."""
    named = [files.start] if files.start else sorted(files.paths)
    return [name for name in named if name.lower().endswith(".json") and files.begins(name) == "{"]


def read(files: Files) -> Dataset:
    """Read a dataset. What is wrong with it is among its problems."""
    problems: list[Problem] = list(files.problems)
    classes: dict[str, None] = {}
    photos: dict[str, ReadPhoto] = {}
    found = False
    for name in describes(files):
        try:
            data = files.json(name)
            if not _is_coco(data):
                continue
            found = True
            part = _Part(files, name, data, problems)
            classes |= dict.fromkeys(part.classes.values())
            for photo in part.photos():
                if photos.setdefault(photo.name, photo) is not photo:
                    raise Wrong(problem("description_unusable", photo.place, f"'{photo.name}' is described twice"))
        except Wrong as wrong:
            problems.append(wrong.problem)
            found = True
    if not found:
        problems.append(
            problem("description_unusable", files.name, "no JSON file has images, annotations and categories")
        )
    if not any(each.code == "description_unusable" for each in problems):
        problems += files.unnamed(photos)
    return Dataset("coco", tuple(classes), tuple(photos.values()), tuple(problems))


def _is_coco(data: object) -> bool:
    return isinstance(data, dict) and all(
        isinstance(data.get(k), list) for k in ("images", "annotations", "categories")
    )


class _Part:
    """One JSON file, while it is read."""

    def __init__(self, files: Files, where: str, data: dict[str, Any], problems: list[Problem]) -> None:
        self._files, self._where, self._data, self._problems = files, where, data, problems
        self.side = _side_of(where)
        self.classes = self._classes()

    def _classes(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for index, category in enumerate(self._data["categories"]):
            place = f"{self._where}: categories[{index}]"
            if (
                not isinstance(category, dict)
                or not _is_id(category.get("id"))
                or not isinstance(category.get("name"), str)
            ):
                raise Wrong(problem("description_unusable", place, "a category needs a number 'id' and a 'name'"))
            if category["id"] in found:
                raise Wrong(problem("description_unusable", place, f"two categories have the id {category['id']}"))
            found[category["id"]] = category["name"].strip()
        return found

    def photos(self) -> Iterator[ReadPhoto]:
        boxes, lost = self._boxes()
        seen: set[int] = set()
        for index, image in enumerate(self._data["images"]):
            place = f"{self._where}: images[{index}]"
            if (
                not isinstance(image, dict)
                or not _is_id(image.get("id"))
                or not isinstance(image.get("file_name"), str)
            ):
                raise Wrong(problem("description_unusable", place, "an image needs a number 'id' and a 'file_name'"))
            if image["id"] in seen:
                raise Wrong(problem("description_unusable", place, f"two images have the id {image['id']}"))
            seen.add(image["id"])
            photo = self._photo(image, place, boxes.get(image["id"]), lost.get(image["id"], 0))
            if photo is not None:
                yield photo
        for image_id in boxes.keys() - seen:
            self._note("photo_missing", self._where, f"annotations speak of an image {image_id} that is not listed")

    def _photo(self, image: dict[str, Any], place: str, boxes: list[Box] | None, lost: int) -> ReadPhoto | None:
        name = self._file_of(image["file_name"], place)
        if name is None:
            return None
        own = image[OURS] if isinstance(image.get(OURS), dict) else {}
        looked_at = boxes is not None or own.get("looked_at") is True
        outcome = own.get("outcome") if own.get("outcome") in OUTCOMES else None
        group = own.get("group") if isinstance(own.get("group"), str) else None
        size = _size_of(image)
        given = tuple(boxes or ()) if looked_at else None
        path = self._files.paths[name]
        return ReadPhoto(name, path, place, self.side, given, lost, "pixel", (), outcome, size, group)

    def _file_of(self, file_name: str, place: str) -> str | None:
        """A photo by the name that it has here: beside the JSON file, in `images`, or where tools put photos."""
        folder = posixpath.dirname(self._where)
        stem = posixpath.splitext(posixpath.basename(self._where))[0].removeprefix("instances_")
        outside = True
        for base in (folder, posixpath.dirname(folder), ""):
            for below in ("", "images", stem, f"images/{stem}", "data"):
                name = inside(posixpath.join(base, below), file_name)
                outside = outside and name is None
                if name is not None and name in self._files:
                    return name
        if outside:
            self._note("path_outside", place, f"'{file_name}' leads out of the dataset")
        else:
            self._note("photo_missing", place, f"'{file_name}' is not there")
        return None

    def _boxes(self) -> tuple[dict[int, list[Box]], dict[int, int]]:
        """The boxes of each image id, and how many of each could not be read."""
        boxes: dict[int, list[Box]] = {}
        lost: dict[int, int] = {}
        for index, annotation in enumerate(self._data["annotations"]):
            place = f"{self._where}: annotations[{index}]"
            if not isinstance(annotation, dict) or not _is_id(annotation.get("image_id")):
                raise Wrong(problem("description_unusable", place, "an annotation needs the number of its image"))
            box = self._box(annotation, place)
            of_image = boxes.setdefault(annotation["image_id"], [])
            if box is None:
                lost[annotation["image_id"]] = lost.get(annotation["image_id"], 0) + 1
            elif len(of_image) >= MOST_BOXES:
                raise Wrong(problem("description_unusable", place, f"its image has more than {MOST_BOXES} boxes"))
            else:
                of_image.append(box)
        return boxes, lost

    def _box(self, annotation: dict[str, Any], place: str) -> Box | None:
        category = annotation.get("category_id")
        if not _is_id(category) or category not in self.classes:
            self._note("box_class_unknown", place, f"there is no category {str(category)[:20]}")
            return None
        corners = self._corners(annotation, place)
        if corners is None:
            return None
        if not all(map(math.isfinite, corners)):
            self._note("box_not_finite", place, "its box has NaN or infinity in it")
            return None
        if annotation.get("iscrowd") in (1, True):
            self._note("box_crowd", place, "a region of many became one box")
        return Box(self.classes[category], *corners, place)

    def _corners(self, annotation: dict[str, Any], place: str) -> Corners | None:
        five, four = (numbers(annotation.get("bbox"), count) for count in (5, 4))
        if five is not None:  # centre, size and angle, as tools for turned boxes write
            x, y, w, h, degrees = five
            if not _finite(five):
                return math.nan, y, w, h  # which the caller names
            return self._enclosed(turned(x - w / 2, y - h / 2, w, h, degrees, (x, y)), place)
        if four is not None:
            x, y, w, h = four
            angle = number(_object(annotation.get("attributes")).get("rotation"))
            if angle and _finite((x, y, w, h, angle)):  # as CVAT writes it
                return self._enclosed(turned(x, y, w, h, angle, (x + w / 2, y + h / 2)), place)
            return x, y, x + w, y + h
        outline = annotation.get("segmentation")
        points = [p for part in outline if isinstance(part, list) for p in part] if isinstance(outline, list) else []
        flat = numbers(points, len(points))
        if flat and len(flat) >= 6 and len(flat) % 2 == 0:
            return self._enclosed(list(zip(flat[::2], flat[1::2], strict=True)), place)
        self._note("box_malformed", place, "it has no 'bbox' of 4 numbers, and no outline to draw one around")
        return None

    def _enclosed(self, points: Any, place: str) -> Corners:
        self._note("box_enclosed", place, "an outline or a turned box became the upright box around it")
        return enclosing(points)

    def _note(self, code: str, place: str, detail: str) -> None:
        self._problems.append(problem(code, place, detail))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _size_of(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = number(image.get("width")), number(image.get("height"))
    return (int(width), int(height)) if width and height and _finite((width, height)) else None


def _finite(values: Iterable[float]) -> bool:
    return all(map(math.isfinite, values))


def _side_of(name: str) -> Side | None:
    """The side that a file's name or folder speaks of: `instances_train2017.json`, `valid/_annotations.coco.json`."""
    words = re.findall(r"[a-z]+", posixpath.splitext(name.lower())[0])
    return next((SIDES[word] for word in reversed(words) if word in SIDES), None)


def write(folder: Path, classes: tuple[str, ...], photos: Iterable[OutPhoto]) -> None:
    """Write one JSON file a side in `annotations`, or `annotations.json` where no photo has one. Ids of classes begin at 1."""
    (folder / "images").mkdir()
    parts: dict[Side | None, _Writing] = {}
    with contextlib.ExitStack() as open_files:
        for photo in photos:
            (folder / "images" / photo.name).write_bytes(photo.data)
            if photo.side not in parts:
                parts[photo.side] = _Writing(folder, photo.side, open_files)
            parts[photo.side].add(photo)
        for part in parts.values() or [_Writing(folder, None, open_files)]:
            part.finish(classes)


class _Writing:
    """One JSON file, written as photos come: boxes go to a file beside, since a million of them need not be held."""

    def __init__(self, folder: Path, side: Side | None, open_files: contextlib.ExitStack) -> None:
        self._target = folder / "annotations" / f"{side}.json" if side else folder / ANNOTATIONS
        self._target.parent.mkdir(exist_ok=True)
        self._drafts = {kind: self._target.with_suffix(f".{kind}.part") for kind in ("images", "annotations")}
        self._files: dict[str, TextIO] = {
            kind: open_files.enter_context(path.open("w", encoding="utf-8")) for kind, path in self._drafts.items()
        }
        self._counts = {"images": 0, "annotations": 0}

    def add(self, photo: OutPhoto) -> None:
        entry = {"file_name": photo.name, "width": photo.width, "height": photo.height}
        image_id = self._put("images", {**entry, OURS: {**photo.facts(), "looked_at": True, "outcome": photo.outcome}})
        for box in photo.boxes or ():
            x1, y1, x2, y2 = (round(box["bbox"][corner], 3) for corner in ("x1", "y1", "x2", "y2"))
            area = {"bbox": [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)], "area": round((x2 - x1) * (y2 - y1), 3)}
            place = {"image_id": image_id, "category_id": box["class_id"] + 1}
            self._put("annotations", {**place, **area, "segmentation": [], "iscrowd": 0})

    def _put(self, kind: str, entry: dict[str, Any]) -> int:
        self._counts[kind] += 1
        comma = ",\n" if self._counts[kind] > 1 else ""
        self._files[kind].write(comma + json.dumps({"id": self._counts[kind], **entry}, ensure_ascii=False))
        return self._counts[kind]

    def finish(self, classes: tuple[str, ...]) -> None:
        for file in self._files.values():
            file.close()
        categories = [{"id": index, "name": name, "supercategory": ""} for index, name in enumerate(classes, start=1)]
        draft = self._target.with_suffix(".json.part")
        with draft.open("w", encoding="utf-8") as whole:
            whole.write('{"info": {"description": "written by Leafloop"}, "licenses": [],\n"categories": ')
            whole.write(json.dumps(categories, ensure_ascii=False))
            for kind, part in self._drafts.items():
                whole.write(f',\n"{kind}": [')
                with part.open(encoding="utf-8") as lines:
                    whole.writelines(lines)
                whole.write("]")
                part.unlink()
            whole.write("}\n")
        draft.replace(self._target)
