"""What a snapshot is made of: a header, and parts by the first byte of the photos' hashes. Knows no table.

Everything is canonical JSON (keys in order, no spaces, ASCII), and each piece is an object under the hash of its bytes. The header
names its parts, so its own hash, which is the snapshot's name, vouches for all of them. There is no time in it, and nothing of the
machine: the same labels give the same name everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from leafloop.errors import BlobCorrupt
from leafloop.storage.blobs import BlobStore

FORMAT = "leafloop-snapshot/1"
EDGES = ("x1", "y1", "x2", "y2")
DECIMALS = 2  # of a pixel: no finger and no detector is surer

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """All photos whose hashes begin with the same byte. `first`: that byte in hex; `data`: their lines."""

    first: str
    photos: int
    data: bytes


def canonical(value: object) -> bytes:
    """The one way to write a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def boxes(bbox_data: list[Any] | None) -> list[dict[str, Any]] | None:
    """Boxes in one form and one order, whichever database they come from; None: the label has none."""
    if bbox_data is None:
        return None
    return sorted((_box(each) for each in bbox_data), key=canonical)


def _box(each: dict[str, Any]) -> dict[str, Any]:
    # Adding 0.0 makes 0.0 of -0.0, which PostgreSQL does not keep apart.
    edges = {edge: round(float(each["bbox"][edge]), DECIMALS) + 0.0 for edge in EDGES}
    return {"class_id": int(each["class_id"]), "class_name": str(each["class_name"]), "bbox": edges}


def parts(lines: Iterable[Line]) -> Iterator[Part]:
    """The parts of photos that come in order of their hashes. One part is in memory at a time."""
    for first, some in groupby(lines, key=lambda line: str(line["sha256"])[:2]):
        written = [canonical(line) for line in some]
        yield Part(first, len(written), b"\n".join(written) + b"\n")


def header(facts: dict[str, Any], named: list[dict[str, Any]]) -> bytes:
    """The header's bytes; `named`: `first`, `photos` and `sha256` of each part."""
    return canonical({"format": FORMAT, **facts, "parts": named})


def read_header(blobs: BlobStore, snapshot_hash: str) -> dict[str, Any]:
    """A header by its hash. Raises `BlobMissing`, `BlobCorrupt`."""
    found = json.loads(blobs.get(snapshot_hash))
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BlobCorrupt(
            f"Object {snapshot_hash[:12]} is no manifest that this version reads: it wants {FORMAT}. "
            "Install the version that made it.",
            key=snapshot_hash,
        )
    return found


def read_part(blobs: BlobStore, key: str) -> list[Line]:
    """The photos of a part. Raises `BlobMissing`, `BlobCorrupt`."""
    return [json.loads(line) for line in blobs.get(key).splitlines()]


def read_photos(blobs: BlobStore, snapshot_hash: str) -> Iterator[Line]:
    """Every photo of a snapshot, in order of hash."""
    for part in read_header(blobs, snapshot_hash)["parts"]:
        yield from read_part(blobs, part["sha256"])
