"""Writes labelled photos as a dataset for other tools: every validated label, or those of a snapshot. Changes nothing here.

Photos get names of ours; what their senders called them goes along as data. Weak labels have no boxes, so formats that know boxes
alone leave them out and the report lists them: a photo with an empty label file says that nothing is there, and nobody said that.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leafloop.errors import DatasetRejected, NotFound, StorageFull
from leafloop.learning.datasets import formats
from leafloop.learning.datasets.formats import OutPhoto, Side
from leafloop.learning.datasets.looking import Say
from leafloop.learning.snapshots import manifest
from leafloop.storage import durable, imports, snapshots
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import TrainingData
from leafloop.taxonomy import Taxonomy
from leafloop.vision import exif, kept, photo
from leafloop.vision.formats import jpeg

READERS = 4  # each waits for the disk or the network most of the time
# A kept copy has this block only when it carries a turn; the turn itself follows it.
_TURN = exif.orientation_block(1)[:18]


@dataclass(frozen=True)
class Wish:
    """What is to be written. `sides`: none named means all."""

    format: str
    snapshot: str | None = None
    sides: tuple[str, ...] = ()
    upright: bool = False


@dataclass(frozen=True)
class Labelled:
    """A photo's label, wherever it comes from. `side`: where it lies for good, or where its dataset wished it."""

    image_hash: str
    key: str
    name: str | None
    group: str | None
    side: Side | None
    width: int
    height: int
    boxes: Sequence[dict[str, Any]] | None
    class_name: str | None
    outcome: str | None


@dataclass
class Report:
    """What was written, and what was not and why."""

    out: str
    format: str
    photos: int = 0
    boxes: int = 0
    empty: int = 0
    turned: int = 0
    refused: int = 0
    sides: dict[str, int] = field(default_factory=dict)
    weak_left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def sentences(self) -> Iterator[str]:
        yield f"{self.photos} photos with {self.boxes} boxes are in {self.out}; on {self.empty} of them nothing is."
        if self.refused:
            yield f"{self.refused} photos were left out: their senders do not want them trained on."
        if self.weak_left_out:
            shown = ", ".join(self.weak_left_out[:10]) + (", ..." if len(self.weak_left_out) > 10 else "")
            yield f"{len(self.weak_left_out)} photos were left out: they have a class and no boxes ({shown})."
        yield from self.warnings


def write_out(
    ledger: Ledger, blobs: BlobStore, taxonomy: Taxonomy, out: Path, wish: Wish, say: Say = lambda _w, _d, _o: None
) -> Report:
    """Write a dataset into an empty folder. Raises `DatasetRejected` for one that is not, `NotFound` for a snapshot that is
    not there, and the `Unavailable` errors.

    When anything is raised the folder is left empty.
    """
    _refuse_full(out)
    report = Report(str(out), wish.format)
    total, labels = _chosen(ledger, blobs, wish)
    try:
        durable.make_folder(out)
        photos = _photos(_wanted(labels, ledger, wish, report), blobs, taxonomy, wish, report)
        formats.write(wish.format, out, taxonomy.class_names, _told(photos, say, total))
    except OSError as error:
        _empty(out)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"The disk of {out} is full. Nothing was left there.") from error
        raise DatasetRejected(f"{out} cannot be written ({error.strerror}). Nothing was left there.") from error
    except BaseException:
        _empty(out)
        raise
    _warn(report)
    return report


def _refuse_full(out: Path) -> None:
    if out.is_dir() and next(out.iterdir(), None) is None:
        return
    if out.exists() or out.is_symlink():
        raise DatasetRejected(
            f"{out} is there already and is no empty folder. Name another one: nothing is overwritten."
        )


def _empty(out: Path) -> None:
    for entry in out.iterdir() if out.is_dir() else ():
        shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)


def _chosen(ledger: Ledger, blobs: BlobStore, wish: Wish) -> tuple[int, Iterator[list[Labelled]]]:
    """How many labels there are, and all of them some at a time."""
    with ledger.reading() as session:
        if wish.snapshot is None:
            counted = select(func.count()).select_from(TrainingData).where(TrainingData.is_validated)
            return session.scalar(counted) or 0, _labels(ledger)
        named = snapshots.starting_with(session, wish.snapshot)
        if len(named) != 1:
            why = "Several snapshots begin" if named else "No snapshot begins"
            raise NotFound(f"{why} with '{wish.snapshot[:64]}'. 'leafloop data list' names them.")
        row = snapshots.get(session, named[0])
        return row.photos if row else 0, _of_snapshot(ledger, blobs, named[0])


def _of_snapshot(ledger: Ledger, blobs: BlobStore, snapshot_hash: str) -> Iterator[list[Labelled]]:
    """What a snapshot's manifest says, whatever its photos' labels say by now. What was erased since is not there."""
    for batch in imports.batches(manifest.read_photos(blobs, snapshot_hash)):
        with ledger.reading() as session:
            gone = snapshots.erased(session, [line["sha256"] for line in batch])
        yield [_of_line(line) for line in batch if line["sha256"] not in gone]


def _of_line(line: manifest.Line) -> Labelled:
    return Labelled(
        line["sha256"],
        line["stored_sha256"],
        line["name"],
        line["group"],
        _side(line["split"]),
        line["width"] or 0,
        line["height"] or 0,
        line["labels"],
        line["class"],
        line["outcome"],
    )


def _labels(ledger: Ledger) -> Iterator[list[Labelled]]:
    """Every validated label, in the order of their photos' hashes: the same labels are always written alike."""
    after = ""
    while True:
        with ledger.reading() as session:
            wanted = select(TrainingData).where(TrainingData.is_validated, TrainingData.image_hash > after)
            rows = session.scalars(wanted.order_by(TrainingData.image_hash).limit(imports.BATCH)).all()
            batch = [_labelled(row) for row in rows]
        if not batch:
            return
        after = batch[-1].image_hash
        yield batch


def _labelled(row: TrainingData) -> Labelled:
    wish = (row.metadata_ or {}).get("given_split")
    return Labelled(
        row.image_hash,
        row.image_path,
        row.name,
        row.group,
        _side(row.dataset_split or wish),
        row.width or 0,
        row.height or 0,
        row.bbox_data if row.strength == "strong" else None,
        row.class_name,
        row.outcome,
    )


def _side(word: object) -> Side | None:
    return word if word in ("train", "val", "test") else None


def _wanted(batches: Iterator[list[Labelled]], ledger: Ledger, wish: Wish, report: Report) -> Iterator[list[Labelled]]:
    """What may and can be written."""
    for batch in batches:
        chosen = [label for label in batch if not wish.sides or label.side in wish.sides]
        with ledger.reading() as session:
            refused = _refused(session, chosen)
        report.refused += len(refused)
        chosen = [label for label in chosen if label.image_hash not in refused]
        if wish.format != "labelstudio":
            report.weak_left_out += [label.name or label.image_hash[:16] for label in chosen if label.boxes is None]
            chosen = [label for label in chosen if label.boxes is not None]
        yield chosen


def _refused(session: Session, labels: Sequence[Labelled]) -> set[str]:
    keys = imports.refused(session, (label.key for label in labels))
    return {label.image_hash for label in labels if label.key in keys}


def _photos(
    batches: Iterator[list[Labelled]], blobs: BlobStore, taxonomy: Taxonomy, wish: Wish, report: Report
) -> Iterator[OutPhoto]:
    names: set[str] = set()
    with ThreadPoolExecutor(READERS) as pool:
        for batch in batches:
            for label, data in zip(batch, pool.map(lambda label: blobs.get(label.key), batch), strict=True):
                yield _photo(label, data, names, taxonomy, wish, report)


def _photo(label: Labelled, data: bytes, names: set[str], taxonomy: Taxonomy, wish: Wish, report: Report) -> OutPhoto:
    if _TURN in data:
        report.turned += 1
        data = jpeg.encode(photo.read_kept(data)) if wish.upright else data
    boxes = None if label.boxes is None else [_with_id(box, taxonomy) for box in label.boxes]
    report.photos += 1
    report.boxes += len(boxes or ())
    report.empty += boxes == []
    report.sides[label.side or "none"] = report.sides.get(label.side or "none", 0) + 1
    return OutPhoto(
        name=_name(label.image_hash, data, names),
        data=data,
        width=label.width,
        height=label.height,
        side=label.side,
        boxes=boxes,
        class_name=label.class_name,
        outcome=label.outcome,
        image_hash=label.image_hash,
        original_name=label.name,
        group=label.group,
    )


def _with_id(box: dict[str, Any], taxonomy: Taxonomy) -> dict[str, Any]:
    """The box with the id that its class has now. Raises `TaxonomyInvalid` for a class that is no longer one."""
    return {**box, "class_id": taxonomy.id_of(box["class_name"])}


def _name(image_hash: str, data: bytes, names: set[str]) -> str:
    """Sixteen digits tell a million photos apart but once in thirty million; then the name is the whole hash."""
    stem = image_hash if image_hash[:16] in names else image_hash[:16]
    names.add(image_hash[:16])
    return f"{stem}.{kept.EXTENSIONS[kept.copy_of(data).media_type]}"


def _told(photos: Iterator[OutPhoto], say: Say, total: int) -> Iterator[OutPhoto]:
    for done, each in enumerate(photos, start=1):
        say("write photos", done, total)
        yield each


def _warn(report: Report) -> None:
    if report.format == "yolo" and (homeless := report.sides.get("none")):
        report.warnings.append(f"{homeless} photos have no side yet: they are in train.")
    if report.format == "yolo" and report.photos and not report.sides.get("val"):
        report.warnings.append(
            "No photo is on the side val, which trainers ask for: export a snapshot, which decides the sides, or import with "
            "--keep-splits."
        )
    if report.turned:
        report.warnings.append(
            f"{report.turned} photos carry their turn as a word (EXIF). Boxes are those of the upright photo: for a tool that "
            "does not read the word (PIL without exif_transpose, and what rests on it) export with --upright."
        )
