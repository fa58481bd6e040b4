"""Puts checked photos into the object store and the ledger: every object first, then all rows in one transaction.

A stop at any point leaves the ledger as it was, and at most objects that no row names, which sweeping takes. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leafloop.errors import DatasetRejected
from leafloop.learning.datasets.copies import Placed
from leafloop.learning.datasets.formats.problems import as_label
from leafloop.learning.datasets.looking import Likenesses, Picture, Say
from leafloop.storage import audit, imports
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.storage.objects import hash_of
from leafloop.storage.tables import Import, TrainingData, new_id, now
from leafloop.vision import kept
from leafloop.vision.decoders import Decoders

SOURCE = "import"
WRITERS = 4  # each waits for the disk or the network most of the time
# What a label says, as the audit log keeps it of one that is replaced.
CONTENT = (
    "outcome",
    "class_id",
    "class_name",
    "strength",
    "bbox_data",
    "source",
    "source_id",
    "feedback_ids",
    "is_validated",
    "validated_by",
)


@dataclass(frozen=True)
class Plan:
    """What is to be written. `replaced`: photos that have a label here which is to say something else from now on."""

    name: str
    format: str
    class_map: dict[str, Any]
    class_names: tuple[str, ...]
    new: Sequence[Placed]
    replaced: Sequence[Placed]
    labels: int
    report: dict[str, Any]
    actor: str
    id: str = field(default_factory=new_id)


@dataclass(frozen=True)
class Place:
    """Where photos go, and who reads them."""

    ledger: Ledger
    blobs: BlobStore
    decoders: Decoders


def take_in(place: Place, plan: Plan, likenesses: Likenesses, say: Say) -> None:
    """Keep it all, or nothing of it. Raises `DatasetRejected` when the dataset or the labels here changed meanwhile."""
    everyone = [*plan.new, *plan.replaced]
    _store(place, everyone, say)
    try:
        with place.ledger.transaction() as session:
            row = Import(
                id=plan.id,
                name=plan.name,
                format=plan.format,
                class_map=plan.class_map,
                report=plan.report,
                photos=len(plan.new),
                labels=plan.labels,
                actor=plan.actor,
            )
            ids = [new_id() for _ in plan.new]
            photos = (_photo_row(photo_id, each, likenesses) for photo_id, each in zip(ids, plan.new, strict=True))
            labels = (_label_row(photo_id, each, plan) for photo_id, each in zip(ids, plan.new, strict=True))
            imports.add(session, row, photos, labels)
            old = imports.labels_of_objects(session, [each.candidate.picture.stored_sha256 for each in plan.replaced])
            for each in plan.replaced:
                _replace(session, old.get(each.candidate.picture.stored_sha256), each, plan)
            detail = {"name": plan.name, "format": plan.format, "photos": len(plan.new), "replaced": len(plan.replaced)}
            audit.record(session, actor=plan.actor, action="data.import", subject=plan.id, detail=detail)
            imports.hold_objects(session, (each.candidate.picture.stored_sha256 for each in everyone))
            _put_back(place, everyone)
    except IntegrityError:
        raise DatasetRejected(
            "Somebody else labelled one of these photos meanwhile. Nothing was kept: run the same command again."
        ) from None


def _store(place: Place, everyone: Sequence[Placed], say: Say) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        for done, _ in enumerate(pool.map(lambda each: _put(place, each), everyone), start=1):
            say("keep photos", done, len(everyone))


def _put(place: Place, each: Placed) -> None:
    place.blobs.put(_kept_copy(place.decoders, each))


def _kept_copy(decoders: Decoders, each: Placed) -> bytes:
    """The kept copy's bytes, made again: holding all of them since they were looked at would take a disk of its own.

    Most are cut out of the file right here, without a codec, as the hash shows; of the rest the decoders make them.
    """
    picture: Picture = each.candidate.picture
    data = each.candidate.read.path.read_bytes()
    if hash_of(data) != picture.sha256:
        raise DatasetRejected(
            f"{each.candidate.read.name} changed while it was read. Nothing was kept: import it again."
        )
    if picture.format != "heic":
        copy = kept.keep(data)
        if copy.sha256 == picture.stored_sha256:
            return copy.data
    copy = decoders.read(data, decoders.check(data)).kept
    if copy.sha256 != picture.stored_sha256:
        raise DatasetRejected(
            f"{each.candidate.read.name} is read in another way each time. Take it out of the dataset."
        )
    return copy.data


def _put_back(place: Place, everyone: Sequence[Placed]) -> None:
    """What was removed since it was stored: an answer about the same photo was deleted meanwhile."""

    def back(each: Placed) -> None:
        if not place.blobs.has(each.candidate.picture.stored_sha256):
            _put(place, each)

    with ThreadPoolExecutor(2 * WRITERS) as pool:
        list(pool.map(back, everyone))


def _photo_row(photo_id: str, each: Placed, likenesses: Likenesses) -> dict[str, Any]:
    picture = each.candidate.picture
    return {
        "id": photo_id,
        "sha256": picture.sha256,
        "stored_sha256": picture.stored_sha256,
        "media_type": picture.media_type,
        "format": picture.format,
        "bytes": picture.bytes,
        "width": picture.width,
        "height": picture.height,
        "file_name": as_label(each.candidate.read.name.rsplit("/", 1)[-1]),
        "group": each.grouped.group,
        "likeness": likenesses[picture.likeness],
        "created_at": now(),
    }


def _content(each: Placed, plan: Plan) -> dict[str, Any]:
    found = each.candidate
    return {
        "outcome": found.outcome,
        "class_id": found.class_id,
        "class_name": None if found.class_id is None else plan.class_names[found.class_id],
        "strength": "weak" if found.boxes is None else "strong",
        "bbox_data": found.boxes,
        "source": SOURCE,
        "source_id": plan.id,
        "feedback_ids": None,
        "name": as_label(found.read.name),
        "is_validated": True,
        "validated_by": f"import:{plan.name}"[:200],
    }


def _label_row(photo_id: str, each: Placed, plan: Plan) -> dict[str, Any]:
    picture = each.candidate.picture
    return {
        **_content(each, plan),
        "id": new_id(),
        "photo_id": photo_id,
        "image_path": picture.stored_sha256,
        "image_hash": picture.sha256,
        "width": picture.width,
        "height": picture.height,
        "group": each.grouped.group,
        "may_test": each.grouped.may_test,
        "quality_score": picture.quality_score,
        "blur_score": picture.sharpness,
        "brightness_score": picture.brightness,
        "validated_at": now(),
        "added_date": now(),
        "metadata_": {"given_split": each.side} if each.side else None,
    }


def _replace(session: Session, label: TrainingData | None, each: Placed, plan: Plan) -> None:
    """Give a label what the dataset says, its name among it: people's names of photos are in no manifest.

    What it said before goes to the audit log; its side and its group stay.
    """
    if label is None:
        raise DatasetRejected("A label that was to be replaced is gone. Nothing was kept: run the same command again.")
    before = {name: getattr(label, name) for name in CONTENT}
    for name, value in _content(each, plan).items():
        if name != "outcome" or value is not None:
            setattr(label, name, value)
    label.revision += 1
    label.validated_at, label.looked_at = now(), None
    detail = {"before": before, "after": {name: getattr(label, name) for name in CONTENT}, "revision": label.revision}
    audit.record(session, actor=plan.actor, action="label.revise", subject=label.id, reason=plan.id, detail=detail)
