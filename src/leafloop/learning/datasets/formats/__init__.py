"""Datasets in the three forms that others read and write. A format knows files and boxes; it knows no taxonomy and no table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from leafloop.learning.datasets.formats import archive, coco, files, labelstudio, yolo, yolo_layout
from leafloop.learning.datasets.formats.dataset import Box, Dataset, OutPhoto, ReadPhoto, Side
from leafloop.learning.datasets.formats.files import Files
from leafloop.learning.datasets.formats.problems import KINDS, Problem, Wrong, problem

__all__ = [
    "FORMATS",
    "KINDS",
    "Box",
    "Dataset",
    "Files",
    "OutPhoto",
    "Problem",
    "ReadPhoto",
    "Side",
    "opened",
    "read",
    "write",
]

_READ: dict[str, Callable[[Files], Dataset]] = {"yolo": yolo.read, "coco": coco.read, "labelstudio": labelstudio.read}
_WRITE: dict[str, Callable[[Path, tuple[str, ...], Iterable[OutPhoto]], None]] = {
    "yolo": yolo.write,
    "coco": coco.write,
    "labelstudio": labelstudio.write,
}
FORMATS = tuple(_READ)
DESCRIBING = (".yaml", ".yml", ".json", ".txt")


def opened(path: Path, scratch: Path, say: archive.Say = lambda _what, _done, _of: None) -> Files:
    """The files of a folder, of the folder of a file that describes one, or of a zip archive, which is unpacked into `scratch`."""
    try:
        if path.is_file() and path.suffix.lower() in archive.ARCHIVES:
            return archive.unpacked(path, scratch, say)
        if path.is_file() and path.suffix.lower() not in DESCRIBING:
            raise Wrong(
                problem("description_unusable", path.name, "name a folder, a zip archive, data.yaml or a JSON file")
            )
        return files.of_folder(path)
    except Wrong as wrong:
        return Files(path.stem, {}, (wrong.problem,))


def read(found: Files, form: str | None = None) -> Dataset:
    """Read a dataset in the form that is said, or in the one that its files speak of."""
    if not found.paths:
        nothing = problem("nothing_found", found.name, "there is no file to read")
        return Dataset(form or "unknown", (), (), found.problems or (nothing,))
    if form is None:
        form = "yolo" if yolo_layout.describes(found) else "coco" if coco.describes(found) else "labelstudio"
    return _READ[form](found)


def write(form: str, folder: Path, classes: tuple[str, ...], photos: Iterable[OutPhoto]) -> None:
    """Write a dataset into an empty folder. What describes it comes last: its being there means that all is."""
    _WRITE[form](folder, classes, photos)
