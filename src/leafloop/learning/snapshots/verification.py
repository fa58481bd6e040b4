"""Whether snapshots are still what their names say: all objects are read and hashed, and the ledger's rows compared.

The manifest is believed, the rows are not. Changes nothing, except that what is found rotten is set aside (`storage.folder`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from leafloop.errors import BlobCorrupt, BlobMissing
from leafloop.learning.snapshots import manifest
from leafloop.storage import snapshots
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Snapshot

BATCH = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """What is not as the name says. `what`: manifest, part or photo (an object: `fault` is missing or rotten); row or photo row
    (what the ledger says: `fault` is how it differs)."""

    snapshot: str
    what: str
    key: str
    fault: str
    name: str | None = None


@dataclass
class Verified:
    """What was looked at. `erased`: photos that were erased for good, which is no fault: their tombstones say why."""

    snapshots: int = 0
    photos: int = 0
    erased: int = 0
    faults: list[Fault] = field(default_factory=list)


def verify(
    ledger: Ledger, blobs: BlobStore, which: Iterable[Snapshot], on_photo: Callable[[int], None] = lambda _done: None
) -> Verified:
    """Read all objects of some snapshots; one that several hold is read once. Raises `StorageError` when the store is away."""
    found, seen = Verified(), dict[str, str]()
    for snapshot in which:
        found.snapshots += 1
        named = 0
        for lines in _lines(blobs, snapshot.hash, _parts(blobs, snapshot, found), found):
            named += len(lines)
            _photo(ledger, blobs, snapshot.hash, lines, seen, found)
            _rows(ledger, snapshot.hash, lines, found)
            on_photo(found.photos)
        _more_rows(ledger, snapshot.hash, named, found)
    return found


def _parts(blobs: BlobStore, snapshot: Snapshot, found: Verified) -> list[str]:
    """The keys of the parts, as the manifest names them; only where it cannot be read, as the row does."""
    try:
        header = manifest.read_header(blobs, snapshot.hash)
    except (BlobMissing, BlobCorrupt) as error:
        found.faults.append(Fault(snapshot.hash, "manifest", snapshot.hash, _word(error)))
        return list(snapshot.parts)
    parts = [part["sha256"] for part in header["parts"]]
    said = {"parts": parts, "photos": header["photos"], "splits": header["splits"], "options": header["options"]}
    for name, value in said.items():
        if getattr(snapshot, name) != value:
            found.faults.append(Fault(snapshot.hash, "row", snapshot.hash, f"its {name} are not the manifest's"))
    return parts


def _rows(ledger: Ledger, snapshot_hash: str, lines: list[manifest.Line], found: Verified) -> None:
    """Compare some photos' rows with what the manifest says of them."""
    with ledger.reading() as session:
        rows = snapshots.photos_of(session, snapshot_hash, [line["sha256"] for line in lines])
    for line in lines:
        told = (line["stored_sha256"], line["group"], line["split"])
        if rows.get(line["sha256"]) != told:
            why = "differs" if line["sha256"] in rows else "missing"
            found.faults.append(Fault(snapshot_hash, "photo row", line["sha256"], why, line["name"]))


def _more_rows(ledger: Ledger, snapshot_hash: str, named: int, found: Verified) -> None:
    """Rows of photos that no part names; where a part is missing nobody can tell."""
    if any(fault.what == "part" and fault.snapshot == snapshot_hash for fault in found.faults):
        return
    with ledger.reading() as session:
        rows = snapshots.count_of(session, snapshot_hash)
    if rows > named:
        told = f"{rows} photos have a row, and the manifest names {named}"
        found.faults.append(Fault(snapshot_hash, "row", snapshot_hash, told))


def _lines(blobs: BlobStore, snapshot_hash: str, parts: list[str], found: Verified) -> Iterator[list[manifest.Line]]:
    """The photos of every part that can be read, some at a time."""
    for key in parts:
        try:
            lines = manifest.read_part(blobs, key)
        except (BlobMissing, BlobCorrupt) as error:
            found.faults.append(Fault(snapshot_hash, "part", key, _word(error)))
            continue
        yield from (lines[begin : begin + BATCH] for begin in range(0, len(lines), BATCH))


def _photo(
    ledger: Ledger,
    blobs: BlobStore,
    snapshot_hash: str,
    lines: list[manifest.Line],
    seen: dict[str, str],
    found: Verified,
) -> None:
    with ledger.reading() as session:
        erased = snapshots.erased(session, [line["sha256"] for line in lines])
    for line in lines:
        found.photos += 1
        key = line["stored_sha256"]
        if line["sha256"] in erased:
            found.erased += 1
            continue
        if key not in seen:
            seen[key] = fault_of(blobs, key)
        if seen[key]:
            found.faults.append(Fault(snapshot_hash, "photo", key, seen[key], line["name"]))


def fault_of(blobs: BlobStore, key: str) -> str:
    """`missing`, `rotten`, or nothing."""
    try:
        blobs.verify(key)
    except (BlobMissing, BlobCorrupt) as error:
        return _word(error)
    return ""


def _word(error: BlobMissing | BlobCorrupt) -> str:
    return "missing" if isinstance(error, BlobMissing) else "rotten"


def as_dict(found: Verified) -> dict[str, Any]:
    """Plain data."""
    faults = [{name: getattr(fault, name) for name in Fault.__slots__} for fault in found.faults]
    return {"snapshots": found.snapshots, "photos": found.photos, "erased": found.erased, "faults": faults}
