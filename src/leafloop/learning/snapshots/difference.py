"""What is other in one snapshot than in another. Parts of one hash are equal and are not read, so that large ones take seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from leafloop.learning.snapshots import manifest
from leafloop.storage.blobs import BlobStore

LABEL = ("outcome", "class", "strength", "labels")  # what a photo is said to show


@dataclass
class Difference:
    """Photos by hash. `moved`: on another side, which must never be; `noted`: the same label, something else beside it, such as
    where it came from. `header`: what is other in options, classes or code."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    relabelled: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    header: dict[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.relabelled or self.moved or self.noted)


def between(blobs: BlobStore, one: str, other: str) -> Difference:
    """From one snapshot to another. Raises `BlobMissing`, `BlobCorrupt`."""
    found = Difference()
    first, second = manifest.read_header(blobs, one), manifest.read_header(blobs, other)
    for name in ("code", "likeness", "classes", "options"):
        if first[name] != second[name]:
            found.header[name] = {"before": first[name], "after": second[name]}
    for before, after in _parts_that_differ(blobs, first, second):
        found.added += sorted(after.keys() - before.keys())
        found.removed += sorted(before.keys() - after.keys())
        for sha256 in sorted(before.keys() & after.keys()):
            _compare(sha256, before[sha256], after[sha256], found)
    return found


def _parts_that_differ(blobs: BlobStore, first: Any, second: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    ours, theirs = ({part["first"]: part["sha256"] for part in each["parts"]} for each in (first, second))
    for byte in sorted(ours.keys() | theirs.keys()):
        if ours.get(byte) != theirs.get(byte):
            before, after = _lines(blobs, ours.get(byte)), _lines(blobs, theirs.get(byte))
            yield _photos(before - after), _photos(after - before)  # a line that both have is not even parsed


def _photos(lines: set[bytes]) -> dict[str, Any]:
    return {line["sha256"]: line for line in map(json.loads, lines)}


def _lines(blobs: BlobStore, key: str | None) -> set[bytes]:
    return set(blobs.get(key).splitlines()) if key else set()


def _compare(sha256: str, before: manifest.Line, after: manifest.Line, found: Difference) -> None:
    if before["split"] != after["split"]:
        found.moved.append({"sha256": sha256, "before": before["split"], "after": after["split"]})
    if any(before[name] != after[name] for name in LABEL):
        said = ({name: line[name] for name in LABEL} for line in (before, after))
        found.relabelled.append({"sha256": sha256, **dict(zip(("before", "after"), said, strict=True))})
    elif before["split"] == after["split"]:
        found.noted.append(sha256)
