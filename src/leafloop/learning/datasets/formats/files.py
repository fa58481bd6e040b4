"""A dataset's files by their names: looked up, never followed. Knows no format.

A format asks for a name and gets the file that has it, or nothing: a path in a dataset can lead nowhere else, because names are
compared and not opened. Links that lead out of the folder are problems; links to folders are not followed.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from leafloop.learning.datasets.formats.dataset import MOST_PHOTOS, PICTURES
from leafloop.learning.datasets.formats.problems import Problem, Wrong, problem

MOST_FILES = 2 * MOST_PHOTOS + 1000  # a label file each, and what describes them
LARGEST_JSON = (
    256 * 1024 * 1024
)  # COCO's own training set of 118,000 photos with outlines has 448 MB; boxes alone have 100
ANNOTATIONS = "annotations"  # the folder in which COCO and CVAT keep their JSON files, beside that of the photos
_OF_THE_SYSTEM = ("__MACOSX", ".DS_Store", "Thumbs.db", ".git")


@dataclass(frozen=True)
class Files:
    """`paths`: name (with /, relative to the dataset) -> where its bytes are. `start`: the one file that was named, if one was."""

    name: str
    paths: dict[str, Path]
    problems: tuple[Problem, ...] = ()
    start: str | None = None
    _folders: dict[str, list[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __contains__(self, name: str) -> bool:
        return name in self.paths

    @cached_property
    def by_folder(self) -> dict[str, list[str]]:
        """The files right in each folder, in order."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.paths):
            found.setdefault(posixpath.dirname(name), []).append(name)
        return found

    def under(self, folder: str) -> Iterator[str]:
        """Every file in a folder and below it, in order."""
        for name, files in self.by_folder.items():
            if not folder or name == folder or name.startswith(folder + "/"):
                yield from files

    def holds(self, folder: str) -> bool:
        """Whether there is a file in a folder or below it."""
        return next(self.under(folder), None) is not None

    def unnamed(self, named: Iterable[str]) -> list[Problem]:
        """A problem for the photos that are here and that the dataset does not name, if there are any."""
        pictures = {name for name in self.paths if posixpath.splitext(name)[1].lower() in PICTURES}
        if not (left := pictures - set(named)):
            return []
        told = f"{len(left)} photos are here and nothing names them: they are left out"
        return [problem("photo_unnamed", min(left), told, count=len(left))]

    def text(self, name: str, largest: int) -> str:
        """A file's text. Raises `Wrong`."""
        path = self.paths[name]
        try:
            if path.stat().st_size > largest:
                raise Wrong(problem("description_unusable", name, f"it is larger than {largest} bytes"))
            return path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Wrong(problem("description_unusable", name, "it is not UTF-8 text")) from None
        except OSError as error:
            raise Wrong(problem("description_unusable", name, f"it cannot be read ({error.strerror})")) from None

    def json(self, name: str) -> Any:
        """A JSON file. Raises `Wrong`."""
        try:
            return json.loads(self.text(name, LARGEST_JSON))
        except (ValueError, RecursionError) as error:  # also of a number with too many digits
            raise Wrong(
                problem("description_unusable", name, f"it is not JSON: {error or 'nested too deep'}")
            ) from None

    def begins(self, name: str) -> str:
        """The first character of a file that is not white space; nothing for what cannot be read."""
        try:
            with self.paths[name].open("rb") as file:
                return file.read(256).decode("utf-8-sig", "replace").lstrip()[:1]
        except OSError:
            return ""


def inside(folder: str, path: str) -> str | None:
    """A path that is written in a dataset, relative to one of its folders, as a name; None when it leads out."""
    path = path.replace("\\", "/")
    if "\0" in path or path.startswith("/") or (len(path) > 1 and path[1] == ":"):
        return None
    name = posixpath.normpath(posixpath.join(folder, path))
    if name == ".":
        return ""
    return None if name == ".." or name.startswith("../") else name


def of_folder(path: Path) -> Files:
    """The files of a folder; of a file that is named, those of its folder, or of the one above `annotations` (COCO's layout)."""
    root = path if path.is_dir() else path.absolute().parent
    if root != path and root.name == ANNOTATIONS and path.suffix.lower() == ".json":
        root = root.parent
    start = None if root == path else path.absolute().relative_to(root).as_posix()
    real = root.resolve()
    paths: dict[str, Path] = {}
    problems: list[Problem] = []
    for folder, below, names in os.walk(root):
        below[:] = sorted(each for each in below if each not in _OF_THE_SYSTEM)
        place = Path(folder)
        for each in [*below, *names]:
            found = place / each
            name = found.relative_to(root).as_posix()
            if found.is_symlink() and not _leads_inside(found, real):
                problems.append(
                    problem("path_outside", name, "it is a link that leads out of the dataset, or to a folder")
                )
            elif each in names and each not in _OF_THE_SYSTEM and found.is_file():
                paths[name] = found
        if len(paths) > MOST_FILES:
            raise Wrong(problem("description_unusable", root.name, f"it has more than {MOST_FILES} files"))
    return Files(real.name, paths, tuple(problems), start)


def _leads_inside(link: Path, real: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(real) and link.is_file()
    except (OSError, RuntimeError):  # it leads nowhere, or in a circle
        return False
