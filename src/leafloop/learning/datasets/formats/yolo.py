"""YOLO in and out: the layout of Ultralytics and Roboflow, `data.yaml` with a folder of photos and one of labels a side.

`data.yaml` is read as plain data and nothing in it is ever run or followed out of the folder. A photo without a label file was
perhaps never looked at, which is not the same as an empty label file, though trainers take it so.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from leafloop import taxonomy
from leafloop.learning.datasets.formats import yolo_layout
from leafloop.learning.datasets.formats.dataset import (
    MOST_BOXES,
    PICTURES,
    Box,
    Dataset,
    OutPhoto,
    ReadPhoto,
    Side,
    enclosing,
)
from leafloop.learning.datasets.formats.files import Files, inside
from leafloop.learning.datasets.formats.problems import Problem, Wrong, problem
from leafloop.learning.datasets.formats.yolo_layout import CLASS_LIST, DESCRIPTIONS, SIDECAR, Layout

LARGEST_LABELS = 4 * 1024 * 1024  # bytes: 10,000 outlines of 40 points


def read(files: Files) -> Dataset:
    """Read a dataset. What is wrong with it is among its problems."""
    problems: list[Problem] = []
    try:
        layout = yolo_layout.read(files, problems)
        reading = _Reading(files, layout, problems)
        photos = tuple(reading.photos())
    except Wrong as wrong:
        return Dataset("yolo", (), (), (*files.problems, *problems, wrong.problem))
    reading.unused_labels(photos)
    problems += files.unnamed(photo.name for photo in photos)
    return Dataset("yolo", layout.classes, photos, (*files.problems, *problems))


class _Reading:
    """One dataset, while it is read. `problems` grows."""

    def __init__(self, files: Files, layout: Layout, problems: list[Problem]) -> None:
        self._files, self._layout, self.problems = files, layout, problems
        self._labels_used: set[str] = set()

    def photos(self) -> Iterator[ReadPhoto]:
        """Each photo once, however many sides name it; then none of them is its own."""
        sides_of: dict[str, set[Side]] = {}
        for place, sides in self._layout.sides.items():
            for name in self._listed(place) if place in self._files else self._files.under(place):
                if posixpath.splitext(name)[1].lower() in PICTURES:
                    sides_of.setdefault(name, set()).update(sides)
        self._note_leaks(sides_of)
        for name, sides in sides_of.items():
            yield self._photo(name, next(iter(sides)) if len(sides) == 1 else None)

    def _note_leaks(self, sides_of: dict[str, set[Side]]) -> None:
        """A folder that two sides name, one inside the other's, or lists that share photos."""
        shared: dict[tuple[Side, ...], list[str]] = {}
        for name, sides in sides_of.items():
            if len(sides) > 1:
                shared.setdefault(tuple(sorted(sides)), []).append(name)
        for several, names in shared.items():
            told = f"{len(names)} photos are on the sides {', '.join(several)} at once"
            self.problems.append(problem("leak", names[0], told, count=len(names)))

    def _listed(self, list_name: str) -> Iterator[str]:
        """The photos that a text file lists, a line each."""
        for number, line in enumerate(self._files.text(list_name, 64 * taxonomy.MAX_BYTES).splitlines(), start=1):
            if not line.strip():
                continue
            place, wanted = f"{list_name}:{number}", line.strip()
            name = inside(posixpath.dirname(list_name), wanted) or yolo_layout.tail_here(self._files, wanted)
            if name is None:
                self._note("path_outside", place, f"'{wanted}' leads out of the dataset")
            elif name not in self._files:
                self._note("photo_missing", place, f"'{wanted}' is not there")
            else:
                yield name

    def _photo(self, name: str, side: Side | None) -> ReadPhoto:
        labels = _labels_of(name)
        path = self._files.paths[name]
        facts = self._layout.facts.get(name)
        group = facts["group"] if isinstance(facts, dict) and isinstance(facts.get("group"), str) else None
        if labels not in self._files:
            return ReadPhoto(name, path, name, side, group=group)
        self._labels_used.add(labels)
        try:
            boxes, lost = self._boxes(labels)
        except Wrong as wrong:
            self._note("box_malformed", labels, wrong.problem.detail)
            boxes, lost = (), 1
        return ReadPhoto(name, path, name, side, boxes, lost, group=group)

    def _boxes(self, labels: str) -> tuple[tuple[Box, ...], int]:
        boxes: list[Box] = []
        lost = 0
        for number, line in enumerate(self._files.text(labels, LARGEST_LABELS).splitlines(), start=1):
            if not line.strip():
                continue
            if len(boxes) >= MOST_BOXES:
                raise Wrong(problem("box_malformed", labels, f"it has more than {MOST_BOXES} boxes"))
            box = self._box(line, f"{labels}:{number}")
            if box is None:
                lost += 1
            else:
                boxes.append(box)
        return tuple(boxes), lost

    def _box(self, line: str, place: str) -> Box | None:
        words, classes = line.split(), self._layout.classes
        try:
            index, *shares = [float(word) for word in words]
        except ValueError:
            self._note("box_malformed", place, f"'{line.strip()[:60]}' is not a class and numbers")
            return None
        if not all(math.isfinite(each) for each in (index, *shares)):
            self._note("box_not_finite", place, f"'{line.strip()[:60]}' has NaN or infinity in it")
            return None
        if index != int(index) or not 0 <= index < len(classes):
            self._note(
                "box_class_unknown",
                place,
                f"there is no class {words[0][:20]}: the dataset has 0 to {len(classes) - 1}",
            )
            return None
        corners = self._corners(shares, place)
        return None if corners is None else Box(classes[int(index)], *corners, place)

    def _corners(self, shares: list[float], place: str) -> tuple[float, float, float, float] | None:
        if len(shares) == 4:
            x, y, w, h = shares
            return x - w / 2, y - h / 2, x + w / 2, y + h / 2
        if len(shares) >= 6 and len(shares) % 2 == 0:
            self._note("box_enclosed", place, "an outline became the box around it")
            return enclosing(list(zip(shares[::2], shares[1::2], strict=True)))
        what = "a sixth number looks like a model's score" if len(shares) == 5 else f"{len(shares) + 1} numbers"
        self._note(
            "box_malformed", place, f"{what}: a box has a class and 4 numbers, an outline a class and pairs of them"
        )
        return None

    def unused_labels(self, photos: Iterable[ReadPhoto]) -> None:
        """Label files beside those that were read, whose photo is not there."""
        folders = {posixpath.dirname(_labels_of(photo.name)) for photo in photos}
        for folder in sorted(folders):
            for name in self._files.by_folder.get(folder, []):
                if name.endswith(".txt") and name not in self._labels_used and posixpath.basename(name) != CLASS_LIST:
                    self._note("label_without_photo", name, "no photo has this name")

    def _note(self, code: str, place: str, detail: str) -> None:
        self.problems.append(problem(code, place, detail))


def _labels_of(photo: str) -> str:
    """The label file of a photo: the last folder `images` reads `labels` instead (Ultralytics' img2label_paths)."""
    parts = posixpath.splitext(photo)[0].split("/")
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return "/".join(parts) + ".txt"


def write(folder: Path, classes: tuple[str, ...], photos: Iterable[OutPhoto]) -> None:
    """Write photos with boxes; a photo on which nothing is has an empty label file. `data.yaml` comes last: with it, all is there.

    It has four keys and no `path:`: trainers then look beside it, wherever the folder is moved.
    """
    kept: dict[str, dict[str, Any]] = {}
    for photo in photos:
        side = photo.side or "train"
        for kind in ("images", "labels"):
            (folder / kind / side).mkdir(parents=True, exist_ok=True)
        (folder / "images" / side / photo.name).write_bytes(photo.data)
        label = folder / "labels" / side / (posixpath.splitext(photo.name)[0] + ".txt")
        label.write_text("".join(map(str, _lines(photo))), "utf-8")
        kept[f"images/{side}/{photo.name}"] = photo.facts()
    for side in ("train", "val"):  # trainers want both folders to be there
        (folder / "images" / side).mkdir(parents=True, exist_ok=True)
    (folder / SIDECAR).write_text(json.dumps(kept, ensure_ascii=False, indent=0, sort_keys=True) + "\n", "utf-8")
    names = "".join(f"  {index}: {json.dumps(name, ensure_ascii=False)}\n" for index, name in enumerate(classes))
    test = "images/test" if (folder / "images" / "test").is_dir() else ""
    text = f"train: images/train\nval: images/val\ntest: {test}\nnames:\n{names}"
    (folder / DESCRIPTIONS[0]).write_text(text, "utf-8")


def _lines(photo: OutPhoto) -> Iterator[str]:
    """One line a box: class, centre x, centre y, width, height, the last four as shares of the photo."""
    for box in photo.boxes or ():
        x1, y1, x2, y2 = (box["bbox"][corner] for corner in ("x1", "y1", "x2", "y2"))
        shares = (
            (x1 + x2) / 2 / photo.width,
            (y1 + y2) / 2 / photo.height,
            (x2 - x1) / photo.width,
            (y2 - y1) / photo.height,
        )
        yield f"{box['class_id']} {' '.join(f'{share:.6f}' for share in shares)}\n"
