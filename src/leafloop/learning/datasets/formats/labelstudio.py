"""Label Studio in and out: its JSON export and the short form JSON-MIN. Boxes are percents of the photo.

A photo is looked for among the dataset's own files by the end of its address; an address is never fetched (CVE-2022-36551). What a
model predicted there is no label.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from leafloop.learning.datasets.formats.dataset import (
    MOST_BOXES,
    OUTCOMES,
    PICTURES,
    SIDES,
    Box,
    Dataset,
    OutPhoto,
    ReadPhoto,
    enclosing,
    number,
    numbers,
    turned,
)
from leafloop.learning.datasets.formats.files import Files
from leafloop.learning.datasets.formats.problems import Problem, Wrong, problem

TASKS = "tasks.json"
CONFIG = "labelling.xml"
OUTCOME = "outcome"  # the name under which ours says what a photo shows as a whole
Corners = tuple[float, float, float, float]
Entry = dict[str, Any]


def describes(files: Files) -> list[str]:
    """The JSON files that can be Label Studio's: those that hold a list. The one that was named counts alone."""
    named = [files.start] if files.start else sorted(files.paths)
    return [name for name in named if name.lower().endswith(".json") and files.begins(name) == "["]


def read(files: Files) -> Dataset:
    """Read a dataset. What is wrong with it is among its problems."""
    reading = _Reading(files)
    photos: list[ReadPhoto] = []
    names = describes(files)
    if not names:
        reading.note(
            "description_unusable", files.name, "there is no data.yaml, and no JSON file of COCO or Label Studio"
        )
    for name in names:
        try:
            photos += reading.tasks(files.json(name), name)
        except Wrong as wrong:
            reading.problems.append(wrong.problem)
    if not any(each.code == "description_unusable" for each in reading.problems):
        reading.problems += files.unnamed(photo.name for photo in photos)
    return Dataset("labelstudio", tuple(reading.classes), tuple(photos), (*files.problems, *reading.problems))


@dataclass
class _Said:
    """What one person said of one photo."""

    boxes: list[Box] = field(default_factory=list)
    lost: int = 0
    choices: list[str] = field(default_factory=list)
    outcome: str | None = None
    looked_at: bool = False  # and nothing is there: a word of ours, which no other writes
    size: tuple[int, int] | None = None


class _Reading:
    """One dataset, while it is read. `problems` and `classes` grow."""

    def __init__(self, files: Files) -> None:
        self._files, self.problems, self.classes = files, list[Problem](), dict[str, None]()
        self._by_end: dict[str, list[str]] = {}
        for name in sorted(files.paths):
            self._by_end.setdefault(posixpath.basename(name), []).append(name)

    def tasks(self, data: object, where: str) -> Iterator[ReadPhoto]:
        for index, task in enumerate(data if isinstance(data, list) else []):
            place = f"{where}: [{index}]"
            if not isinstance(task, dict):
                raise Wrong(problem("description_unusable", place, "a task has to be an object"))
            address = _address_of(task)
            if address is None:
                raise Wrong(problem("description_unusable", place, "the task names no photo"))
            name = self._file_of(address, place)
            if name is not None:
                yield self._photo(task, name, place)

    def _file_of(self, address: str, place: str) -> str | None:
        """The file whose name ends as the address does; the longest end that is there, if it is there once."""
        parts = urlsplit(address)
        path = parse_qs(parts.query).get("d", [parts.path])[0]  # /data/local-files/?d=leaves/a.jpg
        steps = [step for step in unquote(path).replace("\\", "/").split("/") if step not in ("", ".")]
        if ".." in steps:
            self.note("path_outside", place, f"'{address}' leads out of the dataset")
            return None
        for begin in range(len(steps)):
            end = "/".join(steps[begin:])
            ending = self._by_end.get(steps[-1], [])
            found = [name for name in ending if name == end or name.endswith("/" + end)]
            if len(found) == 1 or end in found:
                return end if end in found else found[0]
            if found:
                self.note(
                    "photo_missing", place, f"{len(found)} files are called '{end}': give them names of their own"
                )
                return None
        far = (
            " An address is never fetched: download the photo, and put it beside the JSON file." if parts.scheme else ""
        )
        self.note("photo_missing", place, f"'{address}' is not there.{far}")
        return None

    def _photo(self, task: Entry, name: str, place: str) -> ReadPhoto:
        data = _object(task.get("data"))
        group, side = data.get("group"), SIDES.get(str(data.get("side")))
        known = group if isinstance(group, str) and group else None
        photo = ReadPhoto(name, self._files.paths[name], place, side, group=known)
        results = self._results(task, place)
        if results is None:
            return photo
        said = self._said(results, place)
        self.classes |= dict.fromkeys(said.choices)
        if not said.boxes and not said.lost and not said.looked_at and (said.choices or said.outcome):
            return replace(photo, class_names=tuple(dict.fromkeys(said.choices)), outcome=said.outcome)
        return replace(photo, boxes=tuple(said.boxes), lost=said.lost, size=said.size, outcome=said.outcome)

    def _said(self, results: list[Entry], place: str) -> _Said:
        said = _Said()
        for result in results:
            value = _object(result.get("value"))
            if isinstance(value.get("choices"), list):
                self._chosen(result, [each for each in value["choices"] if isinstance(each, str)], said)
            elif _is_region(value):
                said.size = said.size or _size_of(result)
                box = self._box(value, _size_of(result), f"{place} {str(result.get('id', ''))[:40]}".rstrip())
                if box is None:
                    said.lost += 1
                else:
                    said.boxes.append(box)
        if len(said.boxes) > MOST_BOXES:
            self.note("box_malformed", place, f"it has more than {MOST_BOXES} boxes")
            said.lost, said.boxes = said.lost + len(said.boxes), []
        return said

    def _chosen(self, result: Entry, choices: list[str], said: _Said) -> None:
        if result.get("from_name") == OUTCOME and choices and choices[0] in OUTCOMES:
            said.outcome = choices[0]
            said.looked_at = said.looked_at or _object(result.get("meta")).get("looked_at") is True
        else:
            said.choices += choices

    def _results(self, task: Entry, place: str) -> list[Entry] | None:
        """What a person said of a photo; None: nobody said anything."""
        if "annotations" not in task and "completions" not in task:
            return self._short_results(task)
        answers = task.get("annotations", task.get("completions"))
        kept = (
            [a for a in answers if isinstance(a, dict) and not a.get("was_cancelled")]
            if isinstance(answers, list)
            else []
        )
        kept = [a for a in kept if isinstance(a.get("result"), list)]
        if not kept:
            return None
        if len(kept) > 1:
            self.note("several_answers", place, f"{len(kept)} people labelled it")
        newest = max(enumerate(kept), key=lambda each: (str(each[1].get("updated_at", "")), each[0]))[1]
        return [result for result in newest["result"] if isinstance(result, dict)]

    def _short_results(self, task: Entry) -> list[Entry] | None:
        """JSON-MIN has the values alone, each under the name of what drew it."""
        results: list[Entry] = []
        for key, value in task.items():
            if isinstance(value, list) and all(isinstance(each, dict) for each in value):
                results += [{"value": each, **_dimensions(each)} for each in value if _is_region(each)]
            elif isinstance(value, dict) and isinstance(value.get("choices"), list):
                results.append({"type": "choices", "from_name": key, "value": value})
            elif key in ("choice", "choices", "class", OUTCOME) and isinstance(value, str):
                results.append({"type": "choices", "from_name": key, "value": {"choices": [value]}})
        return results if results or "annotation_id" in task else None

    def _box(self, value: Entry, size: tuple[int, int] | None, place: str) -> Box | None:
        labels = next((value[k] for k in value if k == "labels" or k.endswith("labels")), None)
        if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
            self.note("box_malformed", place, "a box needs one class")
            return None
        self.classes[labels[0]] = None
        corners = self._corners(value, size, place)
        if corners is None:
            return None
        if not all(map(math.isfinite, corners)):
            self.note("box_not_finite", place, "it has NaN or infinity in it")
            return None
        x1, y1, x2, y2 = (each / 100 for each in corners)
        return Box(labels[0], x1, y1, x2, y2, place)

    def _corners(self, value: Entry, size: tuple[int, int] | None, place: str) -> Corners | None:
        """In percents."""
        if isinstance(value.get("points"), list):
            points = [numbers(point, 2) for point in value["points"]]
            whole = [(p[0], p[1]) for p in points if p is not None]
            if len(whole) == len(points) >= 3:
                return self._enclosed(whole, place)
        elif (round_ := _four(value, "x", "y", "radiusX", "radiusY")) is not None:
            x, y, across, down = round_
            return self._enclosed([(x - across, y - down), (x + across, y + down)], place)
        elif (four := _four(value, "x", "y", "width", "height")) is not None:
            return self._rectangle(four, number(value.get("rotation")) or 0.0, size, place)
        self.note("box_malformed", place, "it is neither a rectangle nor an outline with its numbers")
        return None

    def _rectangle(self, four: Corners, degrees: float, size: tuple[int, int] | None, place: str) -> Corners | None:
        x, y, w, h = four
        if not degrees or not all(map(math.isfinite, (*four, degrees))):
            return min(x, x + w), min(y, y + h), max(x, x + w), max(y, y + h)  # drawn from the right or from below
        if size is None:
            self.note("box_malformed", place, "a turned box needs original_width and original_height")
            return None
        across, down = size[0] / 100, size[1] / 100  # pixels a percent: the turn is one of the photo, not of a square
        points = turned(x * across, y * down, w * across, h * down, degrees, (x * across, y * down))
        return self._enclosed([(px / across, py / down) for px, py in points], place)

    def _enclosed(self, points: Any, place: str) -> Corners:
        self.note("box_enclosed", place, "an outline or a turned box became the upright box around it")
        return enclosing(points)

    def note(self, code: str, place: str, detail: str) -> None:
        self.problems.append(problem(code, place, detail))


def _address_of(task: Entry) -> str | None:
    """The photo's address: under `image`, else the first text that ends like a picture."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    texts = [data.get("image"), *data.values()]
    for text in texts:
        if isinstance(text, str) and (text is texts[0] or posixpath.splitext(unquote(text))[1].lower() in PICTURES):
            return text
    return None


def _is_region(value: Entry) -> bool:
    return any(key in value for key in ("x", "points", "rle", "radiusX"))


def _object(value: object) -> Entry:
    return value if isinstance(value, dict) else {}


def _size_of(result: Entry) -> tuple[int, int] | None:
    width, height = number(result.get("original_width")), number(result.get("original_height"))
    if not width or not height or not math.isfinite(width) or not math.isfinite(height) or min(width, height) < 1:
        return None
    return int(width), int(height)


def _dimensions(value: Entry) -> Entry:
    return {key: value.get(key) for key in ("original_width", "original_height")}


def _four(value: Entry, *keys: str) -> Corners | None:
    found = numbers([value.get(key) for key in keys], 4)
    return None if found is None else (found[0], found[1], found[2], found[3])


def write(folder: Path, classes: tuple[str, ...], photos: Iterable[OutPhoto]) -> None:
    """Write `tasks.json`, a list of tasks, the photos in `images`, and the labelling interface that fits them.

    Label Studio serves the photos when its local files are at this folder's parent; weak labels are choices for the whole photo.
    """
    (folder / "images").mkdir()
    (folder / CONFIG).write_text(_interface(classes), "utf-8")
    draft = folder / (TASKS + ".part")
    with draft.open("w", encoding="utf-8") as file:
        file.write("[")
        for number_, photo in enumerate(photos):
            (folder / "images" / photo.name).write_bytes(photo.data)
            file.write((",\n" if number_ else "\n") + json.dumps(_task(photo, folder.name), ensure_ascii=False))
        file.write("\n]\n")
    draft.replace(folder / TASKS)


def _task(photo: OutPhoto, folder: str) -> Entry:
    results = [_rectangle(photo, index, box) for index, box in enumerate(photo.boxes or ())]
    if photo.boxes is None and photo.class_name:
        results.append(_choice("class", photo.class_name))
    if photo.outcome:
        looked_at = {"meta": {"looked_at": True}} if photo.boxes is not None else {}
        results.append({**_choice(OUTCOME, photo.outcome), **looked_at})
    address = f"/data/local-files/?d={folder}/images/{photo.name}"
    return {"data": {"image": address, **photo.facts(), "side": photo.side}, "annotations": [{"result": results}]}


def _rectangle(photo: OutPhoto, index: int, box: dict[str, Any]) -> Entry:
    x1, y1, x2, y2 = (box["bbox"][corner] for corner in ("x1", "y1", "x2", "y2"))
    place = {
        "x": x1 / photo.width,
        "y": y1 / photo.height,
        "width": (x2 - x1) / photo.width,
        "height": (y2 - y1) / photo.height,
    }
    value = {**{key: round(100 * share, 6) for key, share in place.items()}, "rotation": 0}
    return {
        "id": f"{photo.image_hash[:8]}-{index}",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": photo.width,
        "original_height": photo.height,
        "image_rotation": 0,
        "value": {**value, "rectanglelabels": [box["class_name"]]},
    }


def _choice(name: str, choice: str) -> Entry:
    return {"type": "choices", "from_name": name, "to_name": "image", "value": {"choices": [choice]}}


def _interface(classes: tuple[str, ...]) -> str:
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in classes)
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in classes)
    outcomes = "\n".join(f'    <Choice value="{name}"/>' for name in OUTCOMES)
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <RectangleLabels name="label" toName="image">\n{labels}\n  </RectangleLabels>\n'
        f'  <Choices name="class" toName="image" choice="single">\n{choices}\n  </Choices>\n'
        f'  <Choices name="{OUTCOME}" toName="image" choice="single">\n{outcomes}\n  </Choices>\n</View>\n'
    )
