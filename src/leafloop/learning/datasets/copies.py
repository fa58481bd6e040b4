"""The same photo twice in a dataset, and photos that belong together on two of its sides. Knows no table.

"The same" is the same kept copy: two files that differ only in what a camera wrote about place and time are one photo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leafloop.learning.datasets.formats.dataset import Side
from leafloop.learning.datasets.formats.notes import Notes
from leafloop.learning.datasets.grouping import Grouped
from leafloop.learning.datasets.inspection import Candidate, same_label
from leafloop.learning.datasets.looking import Likenesses
from leafloop.learning.snapshots import duplicates
from leafloop.vision import likeness

AT_ONCE = 250  # photos whose likenesses are in memory at a time: a megabyte or so


@dataclass(frozen=True)
class Placed:
    """A photo with its group, and the side that it is wished for; None: a snapshot decides."""

    candidate: Candidate
    grouped: Grouped
    side: Side | None


def without_copies(candidates: Sequence[Candidate], notes: Notes) -> tuple[list[Candidate], set[str]]:
    """One of each photo, and the keys of those that are on two given sides. Copies that disagree are left out, all of them."""
    by_key: dict[str, list[Candidate]] = {}
    for each in candidates:
        by_key.setdefault(each.picture.stored_sha256, []).append(each)
    kept: list[Candidate] = []
    leaking: set[str] = set()
    for key, same in by_key.items():
        names = ", ".join(each.read.name for each in same[:5])
        sides = {each.read.side for each in same} - {None}
        if len(sides) > 1:
            leaking.add(key)
            notes.note("leak", names, f"the same photo is on the sides {', '.join(sorted(map(str, sides)))}")
        if not all(same_label(each.label, same[0].label) for each in same):
            notes.note("copies_disagree", names, f"the same photo is there {len(same)} times, with different labels")
            continue
        if len(same) > 1:
            notes.note("copy", names, f"the same photo is there {len(same)} times", count=len(same) - 1)
        kept.append(same[0])
    return kept, leaking


def near_leaks(candidates: Sequence[Candidate], likenesses: Likenesses, notes: Notes) -> set[str]:
    """The keys of photos that look nearly the same (turned, mirrored, cropped, encoded anew) and are on two given sides."""
    if len({each.read.side for each in candidates} - {None}) < 2:
        return set()
    numbers = np.arange(len(candidates))
    wholes = np.stack([likeness.hashes(likenesses[each.picture.likeness])[0] for each in candidates])
    leaking: set[str] = set()
    for pair in sorted(
        {tuple(sorted(pair)) for pair in duplicates.pairs(_windows(candidates, numbers, likenesses), wholes)}
    ):
        one, other = (candidates[number] for number in pair)
        if None not in (one.read.side, other.read.side) and one.read.side != other.read.side:
            leaking |= {one.picture.stored_sha256, other.picture.stored_sha256}
            told = f"they look nearly the same, and are on the sides {one.read.side} and {other.read.side}"
            notes.note("near_copy_leak", f"{one.read.name}, {other.read.name}", told)
    return leaking


def _windows(
    candidates: Sequence[Candidate], numbers: duplicates.Numbers, likenesses: Likenesses
) -> Iterator[tuple[duplicates.Numbers, likeness.Words]]:
    for begin in range(0, len(candidates), AT_ONCE):
        some = candidates[begin : begin + AT_ONCE]
        words = np.stack([likeness.hashes(likenesses[each.picture.likeness]) for each in some])
        yield numbers[begin : begin + AT_ONCE], words


def placed(
    candidates: Sequence[Candidate], grouped: Sequence[Grouped], leaking: set[str], notes: Notes, *, keep_sides: bool
) -> list[Placed]:
    """Photos with their groups; a given side is kept where it was asked for and nothing leaks."""
    sides_of: dict[str, set[Side]] = {}
    for each, told in zip(candidates, grouped, strict=True):
        if told.group is not None and each.read.side is not None:
            sides_of.setdefault(told.group, set()).add(each.read.side)
    split = {group: sides for group, sides in sides_of.items() if len(sides) > 1}
    for group, sides in split.items():
        notes.note("leak", group, f"photos of this group are on the sides {', '.join(sorted(sides))}")
    found: list[Placed] = []
    for each, told in zip(candidates, grouped, strict=True):
        clean = each.picture.stored_sha256 not in leaking and told.group not in split
        may_hold = each.read.side != "test" or told.may_test
        found.append(Placed(each, told, each.read.side if keep_sides and clean and may_hold else None))
    return found
