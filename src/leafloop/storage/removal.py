"""Rows of answers taken out of all tables at once, and what of them stays where. Knows no reason for it, and no object store.

An answer's words, its place in the review queue and its reviews go with it (the database sees to that); its photo goes unless
another answer is about the same row. What a frozen snapshot names stays until it has a tombstone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import Session

from leafloop.storage import named
from leafloop.storage.tables import (
    Feedback,
    IdempotencyKey,
    Photo,
    Prediction,
    Review,
    SnapshotPhoto,
    TrainingData,
    Upload,
    UploadPiece,
)

FROM_REVIEW = "feedback"  # the source of a label that a review made; one of an import was there without any answer

_FROZEN = (
    "A frozen snapshot holds it, so that what a model was trained on can be checked. It goes into no new snapshot; an operator may "
    "erase it for good with 'leafloop data erase --photo'."
)
_IMPORTED = "An imported dataset holds the same photo."
_ANOTHER = "Another answer of yours is about the same photo."
WHY = (_FROZEN, _IMPORTED, _ANOTHER)


@dataclass(frozen=True, slots=True)
class Staying:
    """What stays after a deletion: a `photo` or a `label`, why, and the snapshots that name it."""

    what: str
    why: str
    snapshots: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "snapshots": list(self.snapshots)}


@dataclass(frozen=True)
class Deletion:
    """What a deletion left: keys of objects that nothing names any more, what stays, and the record for the audit log."""

    objects: list[str]
    kept: list[Staying]
    record: dict[str, Any]


def remove_answers(session: Session, ids: Collection[str]) -> set[str]:
    """Take out some hundred answers and what hangs on them. The keys of the objects that they named: of photos, and of pieces."""
    photos = session.execute(
        select(Photo.id, Photo.stored_sha256)
        .join(Prediction, Prediction.photo_id == Photo.id)
        .where(Prediction.id.in_(ids))
    ).all()
    pieces = remove_uploads(session, session.scalars(select(Upload.id).where(Upload.prediction_id.in_(ids))).all())
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.prediction_id.in_(ids)))
    session.execute(delete(Prediction).where(Prediction.id.in_(ids)))
    return {key for _, key in photos} | remove_photos(session, [photo_id for photo_id, _ in photos]) | pieces


def remove_photos(session: Session, ids: Collection[str]) -> set[str]:
    """Take out those of some hundred photos' rows that no answer is about; labels are told by the database. The keys they named."""
    free = select(Photo.id, Photo.stored_sha256).where(
        Photo.id.in_(ids), ~exists().where(Prediction.photo_id == Photo.id)
    )
    rows = session.execute(free).all()
    session.execute(delete(Photo).where(Photo.id.in_([photo_id for photo_id, _ in rows])))
    return {key for _, key in rows}


def remove_uploads(session: Session, ids: Collection[str]) -> set[str]:
    """Take out some hundred uploads with their pieces. The keys that the pieces named."""
    pieces = set(session.scalars(select(UploadPiece.sha256).where(UploadPiece.upload_id.in_(ids))))
    session.execute(delete(Upload).where(Upload.id.in_(ids)))
    return pieces


def unnamed(session: Session, keys: Collection[str]) -> list[str]:
    """Those of some hundred keys that no row names any more."""
    return sorted(set(keys) - named.among(session, keys)) if keys else []


def snapshots_of(session: Session, image_hashes: Collection[str]) -> dict[str, list[str]]:
    """Which snapshots need the bytes of some hundred photos: image hash -> snapshot hashes. Erased photos are not needed."""
    chosen = select(SnapshotPhoto.image_hash, SnapshotPhoto.snapshot_hash).where(
        SnapshotPhoto.image_hash.in_(image_hashes), ~named.is_erased()
    )
    found: dict[str, list[str]] = {}
    for image_hash, snapshot in session.execute(chosen.order_by(SnapshotPhoto.snapshot_hash)):
        found.setdefault(image_hash, []).append(snapshot)
    return found


def labels_made_from(session: Session, prediction: Prediction, photo: Photo) -> Sequence[TrainingData]:
    """Labels that a review of this answer made."""
    reviews = select(Review.id).where(Review.prediction_id == prediction.id)
    of_answer = or_(TrainingData.photo_id == photo.id, TrainingData.source_id.in_(reviews))
    return session.scalars(select(TrainingData).where(TrainingData.source == FROM_REVIEW, of_answer)).all()


def content_of(session: Session, prediction: Prediction) -> dict[str, Any]:
    """What was said of an answer, for the audit log: ids and classes, and nobody's own text."""
    words = session.scalars(
        select(Feedback).where(Feedback.prediction_id == prediction.id).order_by(Feedback.timestamp)
    )
    reviews = session.scalars(select(Review).where(Review.prediction_id == prediction.id).order_by(Review.created_at))
    facts = ("id", "is_correct", "correct_class_name", "correct_outcome", "status")
    decisions = ("id", "decision", "outcome", "class_name")
    return {
        "feedback": [{name: getattr(word, name) for name in facts} for word in words],
        "reviews": [{name: getattr(review, name) for name in decisions} for review in reviews],
    }


def said_by_label(label: TrainingData) -> dict[str, Any]:
    """A label in the audit log."""
    return {name: getattr(label, name) for name in ("id", "outcome", "class_name", "strength", "source_id")}


def what_stays(
    session: Session, photo: Photo, key_id: str | None, frozen: tuple[str, ...], *, has_label: bool
) -> list[Staying]:
    """What stays of a photo whose answer is gone. A stranger's copy is the stranger's own, and not told of."""
    stays = [Staying("photo", _FROZEN, frozen)] if frozen else []
    stays += [Staying("label", _FROZEN, frozen)] if frozen and has_label else []
    same = TrainingData.image_path == photo.stored_sha256, TrainingData.source != FROM_REVIEW
    if session.scalar(select(TrainingData.id).where(*same).limit(1)) is not None:
        stays.append(Staying("photo", _IMPORTED))
    own = (
        select(Prediction.id)
        .join(Photo, Photo.id == Prediction.photo_id)
        .where(Photo.stored_sha256 == photo.stored_sha256)
    )
    own = own.where(Prediction.key_id.is_(None) if key_id is None else Prediction.key_id == key_id)
    if session.scalar(own.limit(1)) is not None:
        stays.append(Staying("photo", _ANOTHER))
    return stays
