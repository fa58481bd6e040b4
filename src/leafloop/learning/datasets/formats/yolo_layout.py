"""Where a YOLO dataset has what: its classes, and each side's folders and lists, as `data.yaml` tells. Opens no photo or label.

`data.yaml` is read as plain data. What it names is looked up among the dataset's own files; a path of the machine that wrote it
counts as far as its end is here.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any

import yaml

from leafloop import taxonomy
from leafloop.learning.datasets.formats.dataset import SIDES, Side
from leafloop.learning.datasets.formats.files import Files, inside
from leafloop.learning.datasets.formats.problems import Problem, Wrong, problem

DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
CLASS_LIST = "classes.txt"  # what Label Studio and labelImg write instead of data.yaml
SIDECAR = "photos.json"


@dataclass(frozen=True)
class Layout:
    """`sides`: a folder of photos or a list of them -> the sides that name it, none where nobody says. `facts`: ours, by photo."""

    classes: tuple[str, ...]
    sides: dict[str, set[Side]]
    facts: dict[str, Any]


def describes(files: Files) -> str | None:
    """The file that makes this a YOLO dataset: the one that was named, else the highest `data.yaml`, else a list of classes."""
    return next(iter(_descriptions(files)), None)


def _descriptions(files: Files) -> list[str]:
    """Every file that may be it: several where none is above the others."""
    if files.start and files.start.lower().endswith((".yaml", ".yml")):
        return [files.start]
    for wanted in (DESCRIPTIONS, (CLASS_LIST,)):
        found = [name for name in files.paths if posixpath.basename(name).lower() in wanted]
        if found:
            highest = min(name.count("/") for name in found)
            return sorted(name for name in found if name.count("/") == highest)
    return []


def read(files: Files, problems: list[Problem]) -> Layout:
    """The layout; `problems` grows. Raises `Wrong` for what cannot be used."""
    found = _descriptions(files)
    if not found:
        raise Wrong(problem("description_unusable", files.name, "there is no data.yaml"))
    if len(found) > 1:
        told = f"there are {len(found)} of them ({', '.join(found[:3])}): these are several datasets. Import them one by one"
        raise Wrong(problem("description_unusable", found[0], told))
    return _Reading(files, found[0], problems).layout()


def tail_here(files: Files, path: str) -> str | None:
    """What of an absolute path of another machine is here: its longest end that is a file or a folder of the dataset."""
    steps = [step for step in path.replace("\\", "/").split("/") if step]
    if not (path.startswith(("/", "\\")) or path[1:2] == ":") or ".." in steps:
        return None
    ends = ("/".join(steps[begin:]) for begin in range(len(steps)))
    return next((end for end in ends if end in files or files.holds(end)), None)


class _Reading:
    """One description, while it is read."""

    def __init__(self, files: Files, name: str, problems: list[Problem]) -> None:
        self._files, self._name, self._problems = files, name, problems
        self._folder = posixpath.dirname(name)

    def layout(self) -> Layout:
        text = self._files.text(self._name, taxonomy.MAX_BYTES)
        if self._name.lower().endswith(".txt"):
            classes = tuple(line.strip() for line in text.splitlines() if line.strip())
            return Layout(classes, {_joined(self._folder, "images"): set()}, self._facts())
        try:
            data = taxonomy.read_plain(text)
        except yaml.YAMLError as error:
            raise self._wrong("description_unusable", " ".join(str(error).split())[:200]) from None
        if not isinstance(data, dict):
            raise self._wrong("description_unusable", "it is not a list of keys and values")
        if data.get("download"):
            self._note("download_line", "take out the line 'download:'. It was not run")
        return Layout(self._names(data), self._sides(data), self._facts())

    def _facts(self) -> dict[str, Any]:
        sidecar = _joined(self._folder, SIDECAR)
        told = self._files.json(sidecar) if sidecar in self._files else None
        return {_joined(self._folder, photo): facts for photo, facts in told.items()} if isinstance(told, dict) else {}

    def _names(self, data: dict[Any, Any]) -> tuple[str, ...]:
        names = data.get("names")
        if isinstance(names, dict):
            if sorted(names, key=str) != sorted(range(len(names)), key=str):
                raise self._wrong("description_unusable", "names: the numbers of the classes do not go 0, 1, 2, ...")
            names = [names[index] for index in range(len(names))]
        if (
            not isinstance(names, list)
            or not names
            or not all(isinstance(n, str | int) and str(n).strip() for n in names)
        ):
            raise self._wrong("description_unusable", "names: has to be the list of classes")
        if data.get("nc") not in (None, len(names)):
            raise self._wrong("description_unusable", f"nc: says {data['nc']}, and names: has {len(names)} classes")
        return tuple(str(name).strip() for name in names)

    def _sides(self, data: dict[Any, Any]) -> dict[str, set[Side]]:
        base = self._base(data.get("path"))
        sides: dict[str, set[Side]] = {}
        for key, side in SIDES.items():
            for place in data[key] if isinstance(data.get(key), list) else [data.get(key)]:
                if place in (None, ""):
                    continue
                found = self._resolved(place, base, key)
                if found is not None and (self._files.holds(found) or found in self._files):
                    sides.setdefault(found, set()).add(side)
                elif found is not None:
                    self._note("side_absent", f"{key}: there is nothing at '{place}'")
        self._add_usual(base, sides)
        if not sides and self._files.holds(_joined(base, "images")):
            sides[_joined(base, "images")] = set()
        if not sides:
            raise self._wrong("nothing_found", "none of the folders that it names has a photo")
        return sides

    def _add_usual(self, base: str, sides: dict[str, set[Side]]) -> None:
        """A side that is there and not named is not passed over."""
        for word, side in SIDES.items():
            for usual in (_joined(base, each) for each in _usual(word)):
                if self._files.holds(usual) and not any(usual == s or usual.startswith(s + "/") for s in sides if s):
                    sides.setdefault(usual, {side})

    def _base(self, path: object) -> str:
        """`path:` says where the dataset lay on the machine that wrote it: it counts only where it is here."""
        if path in (None, "", "."):
            return self._folder
        found = inside(self._folder, path) if isinstance(path, str) else None
        if found and self._files.holds(found):
            return found
        self._note("path_ignored", f"path: '{path}' is not a folder of this dataset; its own folder was taken")
        return self._folder

    def _resolved(self, place: object, base: str, key: str) -> str | None:
        """A folder or a list as a name. Roboflow writes `../train/images` and means a folder beside data.yaml."""
        if isinstance(place, str):
            own = place[3:] if place.startswith("../") else place
            if (found := inside(base, own)) is not None:
                return found
            if (found := tail_here(self._files, place)) is not None:
                self._note(
                    "path_ignored", f"{key}: '{place}' is of another machine; '{found}' of this dataset was taken"
                )
                return found
            ends = (f"/{usual}" for word in SIDES for usual in _usual(word))
            if place.startswith("/") and any(place.rstrip("/").endswith(end) for end in ends):
                return place.strip("/")  # a side that did not come along
        self._note("path_outside", f"{key}: '{place}' leads out of the dataset")
        return None

    def _note(self, code: str, detail: str) -> None:
        self._problems.append(problem(code, self._name, detail))

    def _wrong(self, code: str, detail: str) -> Wrong:
        return Wrong(problem(code, self._name, detail))


def _usual(side: str) -> tuple[str, str]:
    """Where Roboflow and Ultralytics put a side's photos."""
    return f"{side}/images", f"images/{side}"


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
