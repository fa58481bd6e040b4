"""What can be wrong with a dataset: each kind by its code, whether it stops an import, and the option that repairs it.

docs/DATASETS.md has a line for each; a test holds the two together. Knows no format.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

Severity = Literal["error", "warning"]
LONGEST = 500  # characters of a place or a detail: a line on a screen, not the file
_UNUSABLE = frozenset({"Cc", "Cs"})  # a database or a terminal chokes on control characters and half surrogates


@dataclass(frozen=True, slots=True)
class Kind:
    """`option`: what repairs it, as the command line writes it; None: nothing does, or nothing need be done."""

    severity: Severity
    meaning: str
    option: str | None = None


KINDS: dict[str, Kind] = {
    # The dataset as a whole: these no option repairs.
    "archive_unsafe": Kind("error", "the archive is broken, or made to do harm when it is unpacked"),
    "path_outside": Kind("error", "a path leads out of the dataset's folder"),
    "download_line": Kind("error", "data.yaml has a line that other tools would run; it is never run here"),
    "description_unusable": Kind("error", "the file that describes the dataset cannot be read as plain data"),
    "nothing_found": Kind("error", "there is no photo that the dataset names"),
    "class_unmapped": Kind("error", "a class of the dataset is none of the taxonomy's", "--map NAME=CLASS"),
    # Boxes.
    "box_malformed": Kind("error", "a box cannot be read", "--drop-bad-boxes"),
    "box_not_finite": Kind("error", "a box has NaN or infinity in it", "--drop-bad-boxes"),
    "box_empty": Kind(
        "error", "a box is less than a pixel wide or high, or wholly outside the photo", "--drop-bad-boxes"
    ),
    "box_class_unknown": Kind("error", "a box has a class that the dataset itself does not know", "--drop-bad-boxes"),
    "box_outside": Kind("error", "a box reaches over the photo's edge by more than half a pixel", "--clip"),
    # Photos.
    "missing_label": Kind("error", "nothing says whether a photo was looked at", "--missing-is-empty"),
    "photo_missing": Kind("error", "a photo that is named is not in the dataset", "--drop-bad-photos"),
    "photo_unreadable": Kind(
        "error", "a photo is damaged, hostile, or of a kind that is not taken", "--drop-bad-photos"
    ),
    "size_differs": Kind("error", "a photo has another size than the dataset says", "--drop-bad-photos"),
    "class_ambiguous": Kind("error", "a photo has more than one class as a whole", "--drop-bad-photos"),
    "copies_disagree": Kind("error", "the same photo is there twice with different labels", "--drop-bad-photos"),
    # What is brought in all the same, and said.
    "box_enclosed": Kind("warning", "an outline or a turned box became the upright box around it"),
    "box_crowd": Kind("warning", "a region of many (COCO's iscrowd) became one box"),
    "box_double": Kind("warning", "the same box stands there twice; one was taken"),
    "box_dropped": Kind("warning", "boxes of a class that --map drops were left out"),
    "photo_without_rest": Kind("warning", "all boxes of a photo were dropped: it is left out, since it is not empty"),
    "label_without_photo": Kind("warning", "a label file has no photo"),
    "photo_unnamed": Kind("warning", "photos are there that the dataset does not name: they are left out"),
    "map_unused": Kind("warning", "no label of the dataset has a class that --map names"),
    "side_absent": Kind("warning", "a side that the dataset names is not there"),
    "path_ignored": Kind("warning", "a path in data.yaml was not followed; the folder of data.yaml was taken"),
    "archive_in_archive": Kind("warning", "an archive inside the archive was not opened"),
    "several_answers": Kind("warning", "several people labelled a photo; the newest label was taken"),
    "copy": Kind("warning", "the same photo is there twice with the same labels; one was taken"),
    "leak": Kind("warning", "the same photo, or photos of one group, are on two of the given sides"),
    "near_copy_leak": Kind("warning", "photos that look nearly the same are on two of the given sides"),
    "already_here": Kind("warning", "a photo has a label here already, which stays as it is", "--replace"),
    "consent_refused": Kind("warning", "a photo's sender does not want it trained on: it is left out"),
    "may_not_test": Kind(
        "warning", "a photo's parent is not known for sure: it may train, but never test", "--group-regex"
    ),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing at one place. `place`: file, and line or entry where there is one. `count`: how many it speaks for."""

    code: str
    place: str
    detail: str
    repaired: bool = False
    count: int = 1

    @property
    def stops(self) -> bool:
        """Whether an import with it is refused."""
        return KINDS[self.code].severity == "error" and not self.repaired

    def mended(self) -> Problem:
        """The same, once an option has repaired it."""
        return replace(self, repaired=True)

    def as_dict(self) -> dict[str, Any]:
        kind = KINDS[self.code]
        return {
            "code": self.code,
            "severity": kind.severity,
            "place": self.place,
            "detail": self.detail,
            "option": kind.option,
            "repaired": self.repaired,
            "count": self.count,
        }


class Wrong(Exception):
    """A problem that ends the reading of a file or of the whole dataset."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


def problem(code: str, place: str, detail: str, *, count: int = 1) -> Problem:
    """A problem whose words can be shown and kept, whatever a dataset calls its files."""
    return Problem(code, as_label(place, LONGEST), as_label(detail, LONGEST), count=count)


def as_label(text: str, longest: int = 200) -> str:
    """A name or text of a dataset's, as it may be shown and kept: escaped where it must be, and cut."""
    escaped = "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNUSABLE else c for c in text)
    return escaped[:longest]


def counts_of(problems: Iterable[Problem]) -> dict[str, int]:
    """How many of each kind, in the order of `KINDS`."""
    found = dict.fromkeys(KINDS, 0)
    for each in problems:
        found[each.code] += each.count
    return {code: count for code, count in found.items() if count}
