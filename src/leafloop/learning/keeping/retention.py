"""What is kept no longer than the settings say: which rows are due, and why some of them stay. Removes rows, never an object.

    labels   that no snapshot holds                                keep_labels_days
    answers  with photo and words, that no label, no open          keep_photos_days
             review and no snapshot needs                          (undecided: as long again)
    photos   without an answer (of an import), as answers are      keep_photos_days
    words    replaced or withdrawn before a review judged them     keep_feedback_days
    audit    the oldest entries                                    keep_audit_days

Each function takes one batch, in the caller's transaction; `live.purging` goes on until nothing is due, and removes the objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from leafloop.settings import Settings
from leafloop.storage import named, removal, snapshots
from leafloop.storage.tables import Feedback, Photo, Prediction, ReviewItem, SnapshotPhoto, TrainingData

BATCH = 200  # answers in one transaction: writers wait for it on SQLite, some tens of milliseconds
UNDECIDED = ("open", "second", "disputed")  # a reviewer may still need the photo
# An answer that nobody has decided on is kept as long again: what no reviewer came to in twice the time, none will come to.
UNDECIDED_FACTOR = 2
NO_LONGER_SAID = ("replaced", "withdrawn")


@dataclass(frozen=True)
class Cutoffs:
    """Before which moment each kind is due; None: never."""

    photos: datetime | None
    undecided: datetime | None
    labels: datetime | None
    feedback: datetime | None
    audit: datetime | None


@dataclass
class Batch:
    """What one transaction took out: how many of each kind, the objects that nothing names any more, those that others name as
    well (`shared`), and where to go on."""

    counts: dict[str, int] = field(default_factory=dict)
    objects: list[str] = field(default_factory=list)
    after: tuple[Any, ...] | None = None
    shared: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(self.counts.values())


def cutoffs(settings: Settings, now: datetime) -> Cutoffs:
    """The settings as moments. Audit entries are kept at least as long as a login lasts: the one of a logout is what ends it."""

    def ago(days: int) -> datetime | None:
        return now - timedelta(days=days) if days else None

    audit = ago(settings.keep_audit_days)
    return Cutoffs(
        ago(settings.keep_photos_days),
        ago(settings.keep_photos_days * UNDECIDED_FACTOR),
        ago(settings.keep_labels_days),
        ago(settings.keep_feedback_days),
        None if audit is None else min(audit, now - timedelta(hours=settings.session_hours)),
    )


def take_labels(session: Session, limits: Cutoffs, after: tuple[Any, ...] | None = None) -> Batch:
    """The next labels that are due."""
    if limits.labels is None:
        return Batch()
    snapshots.hold(session)
    chosen = select(TrainingData.added_date, TrainingData.id, TrainingData.image_path).where(
        TrainingData.added_date < limits.labels, ~_label_is_frozen()
    )
    rows = session.execute(_next(chosen, (TrainingData.added_date, TrainingData.id), after)).all()
    if not rows:
        return Batch()
    session.execute(delete(TrainingData).where(TrainingData.id.in_([row.id for row in rows])))
    objects = removal.unnamed(session, {row.image_path for row in rows})
    return Batch({"labels": len(rows)}, objects, (rows[-1].added_date, rows[-1].id))


def take_answers(session: Session, limits: Cutoffs, after: tuple[Any, ...] | None = None) -> Batch:
    """The next answers that are due, with their photos and what was said of them."""
    if limits.photos is None:
        return Batch()
    snapshots.hold(session)
    chosen = select(Prediction.timestamp, Prediction.id).where(_answer_is_due(limits), ~_answer_is_needed(limits))
    rows = session.execute(_next(chosen, (Prediction.timestamp, Prediction.id), after)).all()
    if not rows:
        return Batch()
    ids = [row.id for row in rows]
    words = session.scalar(select(func.count()).select_from(Feedback).where(Feedback.prediction_id.in_(ids))) or 0
    objects = removal.unnamed(session, removal.remove_answers(session, ids))
    return Batch({"answers": len(ids), "words": words}, objects, (rows[-1].timestamp, rows[-1].id))


def take_photos(session: Session, limits: Cutoffs, after: tuple[Any, ...] | None = None) -> Batch:
    """The next photos without an answer that are due: imported ones whose label is gone."""
    if limits.photos is None:
        return Batch()
    snapshots.hold(session)
    chosen = select(Photo.created_at, Photo.id).where(_stray_photo_is_due(limits))
    rows = session.execute(_next(chosen, (Photo.created_at, Photo.id), after)).all()
    if not rows:
        return Batch()
    objects = removal.unnamed(session, removal.remove_photos(session, [row.id for row in rows]))
    return Batch({"photos": len(rows)}, objects, (rows[-1].created_at, rows[-1].id))


def take_words(session: Session, limits: Cutoffs, after: tuple[Any, ...] | None = None) -> Batch:
    """The next words that are due. Those that count, also for how far their author is trusted, go with their answer alone."""
    if limits.feedback is None:
        return Batch()
    chosen = select(Feedback.timestamp, Feedback.id).where(_word_is_due(limits))
    rows = session.execute(_next(chosen, (Feedback.timestamp, Feedback.id), after)).all()
    if not rows:
        return Batch()
    session.execute(delete(Feedback).where(Feedback.id.in_([row.id for row in rows])))
    return Batch({"words": len(rows)}, [], (rows[-1].timestamp, rows[-1].id))


def due(session: Session, limits: Cutoffs) -> dict[str, int]:
    """How many of each kind would go now."""
    counts = {"labels": 0, "answers": 0, "photos": 0, "words": 0}
    if limits.labels is not None:
        counts["labels"] = _count(
            session, TrainingData.id, TrainingData.added_date < limits.labels, ~_label_is_frozen()
        )
    if limits.photos is not None:
        goes = and_(_answer_is_due(limits), ~_answer_is_needed(limits))
        counts["answers"] = _count(session, Prediction.id, goes)
        counts["photos"] = _count(session, Photo.id, _stray_photo_is_due(limits))
        of_these = Feedback.prediction_id.in_(select(Prediction.id).where(goes))
        counts["words"] += _count(session, Feedback.id, of_these)
        if limits.feedback is not None:
            counts["words"] += _count(session, Feedback.id, _word_is_due(limits), ~of_these)
    elif limits.feedback is not None:
        counts["words"] += _count(session, Feedback.id, _word_is_due(limits))
    return counts


def what_stays(session: Session, limits: Cutoffs) -> list[dict[str, Any]]:
    """What is old enough and stays all the same: {what, why, count}, each counted under its strongest reason."""
    stays: list[tuple[str, str, int]] = []
    if limits.labels is not None:
        frozen = _count(session, TrainingData.id, TrainingData.added_date < limits.labels, _label_is_frozen())
        stays.append(("labels", "a frozen snapshot holds them", frozen))
    if limits.photos is not None:
        old, frozen_too, labelled = _answer_is_due(limits), _answer_is_frozen(), _answer_is_labelled(limits)
        stays += [
            ("answers", "a frozen snapshot holds their photos", _count(session, Prediction.id, old, frozen_too)),
            ("answers", "a label is about their photos", _count(session, Prediction.id, old, labelled, ~frozen_too)),
            (
                "answers",
                "a reviewer has not decided on them yet",
                _count(session, Prediction.id, old, _answer_is_in_review(limits), ~frozen_too, ~labelled),
            ),
        ]
    return [{"what": what, "why": why, "count": count} for what, why, count in stays if count]


# What is due, and what is needed


def _label_is_frozen() -> ColumnElement[bool]:
    return exists().where(SnapshotPhoto.image_hash == TrainingData.image_hash, ~named.is_erased())


def _label_stays(limits: Cutoffs) -> ColumnElement[bool]:
    """Whether a label outlives this purge: the same before and after `take_labels`, so that a dry run tells the truth."""
    if limits.labels is None:
        return TrainingData.id.is_not(None)
    return (TrainingData.added_date >= limits.labels) | _label_is_frozen()


def _answer_is_due(limits: Cutoffs) -> ColumnElement[bool]:
    return Prediction.timestamp < limits.photos


def _answer_is_needed(limits: Cutoffs) -> ColumnElement[bool]:
    return _answer_is_frozen() | _answer_is_labelled(limits) | _answer_is_in_review(limits)


def _answer_is_frozen() -> ColumnElement[bool]:
    return exists().where(SnapshotPhoto.image_hash == Prediction.image_hash, ~named.is_erased())


def _answer_is_labelled(limits: Cutoffs) -> ColumnElement[bool]:
    return exists().where(TrainingData.image_hash == Prediction.image_hash, _label_stays(limits))


def _answer_is_in_review(limits: Cutoffs) -> ColumnElement[bool]:
    waits = exists().where(ReviewItem.prediction_id == Prediction.id, ReviewItem.state.in_(UNDECIDED))
    return and_(waits, Prediction.timestamp >= limits.undecided)


def _stray_photo_is_due(limits: Cutoffs) -> ColumnElement[bool]:
    label = exists().where(TrainingData.image_hash == Photo.sha256, _label_stays(limits))
    frozen = exists().where(SnapshotPhoto.image_hash == Photo.sha256, ~named.is_erased())
    return and_(Photo.created_at < limits.photos, ~exists().where(Prediction.photo_id == Photo.id), ~label, ~frozen)


def _word_is_due(limits: Cutoffs) -> ColumnElement[bool]:
    said_no_more = Feedback.status.in_(NO_LONGER_SAID), Feedback.judged.is_(None)
    return and_(Feedback.timestamp < limits.feedback, *said_no_more)


def _next(chosen: Any, order: tuple[Any, ...], after: tuple[Any, ...] | None) -> Select[Any]:
    """The next batch, oldest first: what stays is passed over once, not once a batch."""
    if after is not None:
        moment, row_id = order
        chosen = chosen.where(or_(moment > after[0], and_(moment == after[0], row_id > after[1])))
    batch: Select[Any] = chosen.order_by(*order).limit(BATCH)
    return batch


def _count(session: Session, column: Any, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(column)).where(*conditions)) or 0
