"""A person is forgotten: every row by them goes, photos in snapshots get a tombstone, and their name goes out of what others wrote.

A person is (key, user_id): a `user_id` is believed only within its key. What others said of their answers goes with the answers.
Manifests of snapshots are not touched: they name photos by hash, and nobody's user_id. Each function takes one batch, in the
caller's transaction, and finds nothing once all is done: a run that was stopped is run again. Removes no object: `live.forgetting`
does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, false, func, or_, select
from sqlalchemy.orm import Session

from leafloop.errors import RequestInvalid
from leafloop.learning.keeping import scrubbing
from leafloop.learning.keeping.retention import BATCH, Batch
from leafloop.storage import removal, snapshots
from leafloop.storage.tables import (
    ApiKey,
    Feedback,
    Model,
    Photo,
    Prediction,
    Review,
    ReviewItem,
    Snapshot,
    SnapshotPhoto,
    Tombstone,
    TrainingData,
    Upload,
)

OPEN = "open"  # how a person is named who sent without a key; no key has an id of four letters


@dataclass(frozen=True)
class Person:
    """Somebody by name within some keys; None among the keys: sent without one."""

    user_id: str
    keys: tuple[str | None, ...]

    def wrote(self, table: Any) -> ColumnElement[bool]:
        """Whether a row of predictions, feedback or labels is theirs."""
        return and_(table.user_id == self.user_id, self._key(table.key_id))

    def reviewed(self) -> ColumnElement[bool]:
        """Whether they are the reviewer of a review."""
        return and_(Review.reviewer == self.user_id, self._key(Review.key_id))

    def holds(self) -> ColumnElement[bool]:
        """Whether a key was given their name."""
        return and_(ApiKey.label == self.user_id, self._key(ApiKey.id))

    @property
    def scopes(self) -> tuple[str, ...]:
        """Where their Idempotency-Keys and uploads are."""
        return tuple(key or OPEN for key in self.keys)

    @property
    def identities(self) -> tuple[str, ...]:
        """How they are named in a lease."""
        return tuple(f"{scope}/{self.user_id}" for scope in self.scopes)

    def _key(self, column: Any) -> ColumnElement[bool]:
        named = [key for key in self.keys if key is not None]
        without = column.is_(None) if None in self.keys else false()
        return or_(column.in_(named), without)


@dataclass(frozen=True)
class OnePhoto:
    """A photo, whoever sent it, by all hashes under which its bytes were received."""

    image_hashes: tuple[str, ...]


Whom = Person | OnePhoto


def person(session: Session, user_id: str, key: str | None, *, every_key: bool = False) -> Person:
    """Who is meant. Raises `RequestInvalid` where the name stands under several keys and none is named."""
    if key is not None:
        return Person(user_id, (None if key == OPEN else key,))
    found: set[str | None] = set()
    for table in (Prediction, Feedback, TrainingData):
        found |= set(session.scalars(select(table.key_id).where(table.user_id == user_id).distinct()))
    found |= set(session.scalars(select(Review.key_id).where(Review.reviewer == user_id).distinct()))
    found |= set(session.scalars(select(ApiKey.id).where(ApiKey.label == user_id)))
    found |= scrubbing.keys_named(session, user_id)
    found |= {None if row.scope == OPEN else row.scope for row in uploads_of(session, user_id, None)}
    keys = tuple(sorted(found, key=lambda key: key or ""))
    if len(keys) > 1 and not every_key:
        names = ", ".join(key or OPEN for key in keys)
        raise RequestInvalid(
            f"This user_id stands under several keys ({names}), and a name is believed only within its key: they may be several "
            "people. Say which with --key, or --every-key for all of them."
        )
    return Person(user_id, keys)


def photo(session: Session, sha256: str) -> OnePhoto:
    """A photo by the hash of the bytes received or of the kept copy."""
    found = {sha256}
    found |= set(session.scalars(select(Photo.sha256).where(Photo.stored_sha256 == sha256)))
    found |= set(session.scalars(select(TrainingData.image_hash).where(TrainingData.image_path == sha256)))
    found |= set(session.scalars(select(SnapshotPhoto.image_hash).where(SnapshotPhoto.stored_sha256 == sha256)))
    return OnePhoto(tuple(sorted(found)))


def take_photos(session: Session, whom: Whom, *, reason: str, actor: str) -> Batch:
    """The next answers, labels and photos, with what hangs on them; tombstones for what a snapshot holds."""
    snapshots.hold(session)
    answers = session.execute(
        select(Prediction.id, Prediction.image_hash, Prediction.photo_id, Photo.stored_sha256)
        .join(Photo, Photo.id == Prediction.photo_id)
        .where(_answers(whom))
        .limit(BATCH)
    ).all()
    theirs = and_(
        _labels(whom), or_(TrainingData.image_hash.in_([row.image_hash for row in answers]), _has_no_answer(whom))
    )
    of_answers = and_(
        TrainingData.source == removal.FROM_REVIEW, TrainingData.photo_id.in_([row.photo_id for row in answers])
    )
    labels = session.scalars(select(TrainingData).where(or_(theirs, of_answers)).limit(2 * BATCH)).all()
    strays = _stray_photos(session, whom)
    stored = {row.image_hash: row.stored_sha256 for row in answers}
    stored |= {label.image_hash: label.image_path for label in labels} | {
        row.sha256: row.stored_sha256 for row in strays
    }
    stored |= _only_in_snapshots(session, whom)
    if not stored:
        return Batch()
    ids = [row.id for row in answers]
    words = _count(session, Feedback.id, Feedback.prediction_id.in_(ids))
    scrubbing.blank_subjects(session, [*ids, *(label.id for label in labels), *_hanging_on(session, ids)])
    of_labels = {label.photo_id for label in labels if label.photo_id}
    session.execute(delete(TrainingData).where(TrainingData.id.in_([label.id for label in labels])))
    keys = removal.remove_answers(session, ids) | set(stored.values())
    keys |= removal.remove_photos(session, [*of_labels, *(row.id for row in strays)])
    tombstones = _bury(session, stored, reason, actor)
    counts = {
        "answers": len(ids),
        "labels": len(labels),
        "words": words,
        "photos": len(stored),
        "tombstones": tombstones,
    }
    objects = removal.unnamed(session, keys)
    return Batch(counts, objects, shared=sorted(keys - set(objects)))


def take_words(session: Session, whom: Whom) -> Batch:
    """The next words that they said of other people's answers."""
    if isinstance(whom, OnePhoto):
        return Batch()
    ids = session.scalars(select(Feedback.id).where(whom.wrote(Feedback)).limit(BATCH)).all()
    scrubbing.blank_subjects(session, ids)
    session.execute(delete(Feedback).where(Feedback.id.in_(ids)))
    return Batch({"words": len(ids)})


def take_uploads(session: Session, whom: Whom) -> Batch:
    """Their photos that have come in part. Those of an erased answer went with it."""
    if isinstance(whom, OnePhoto):
        return Batch()
    ids = [row.id for row in uploads_of(session, whom.user_id, whom.scopes)][:BATCH]
    return Batch({"uploads": len(ids)}, removal.unnamed(session, removal.remove_uploads(session, ids)))


def take_names(session: Session, whom: Whom) -> Batch:
    """Their name out of what they decided as a reviewer, with their comments, and off their key: the decision stays and the key
    goes on, nobody is told whose they are."""
    if isinstance(whom, OnePhoto):
        return Batch()
    reviews = session.scalars(select(Review).where(whom.reviewed()).limit(BATCH)).all()
    for review in reviews:
        review.reviewer = review.comment = None
    leases = session.scalars(select(ReviewItem).where(ReviewItem.leased_by.in_(whom.identities)).limit(BATCH)).all()
    for item in leases:
        item.leased_by = item.leased_until = None
    validated = TrainingData.validated_by.in_([whom.user_id, *whom.identities])
    labels = session.scalars(select(TrainingData).where(validated).limit(BATCH)).all()
    for label in labels:
        label.validated_by = None
    keys = session.scalars(select(ApiKey).where(whom.holds()).limit(BATCH)).all()
    for key in keys:
        key.label = ""
    counts = {"reviews_unnamed": len(reviews), "leases": len(leases), "labels_unnamed": len(labels)}
    return Batch({**counts, "keys_unnamed": len(keys)})


def take_history(session: Session, whom: Whom) -> Batch:
    """Their name out of the audit log."""
    if isinstance(whom, OnePhoto):
        return Batch()
    return Batch(
        {"audit_entries": scrubbing.blank_person(session, whom.user_id, whom.keys, whom.identities, limit=BATCH)}
    )


KINDS = (
    "answers",
    "photos",
    "tombstones",
    "labels",
    "words",
    "uploads",
    "reviews_unnamed",
    "labels_unnamed",
    "leases",
    "keys_unnamed",
    "audit_entries",
)


def due(session: Session, whom: Whom) -> dict[str, int]:
    """How many of each kind there are. Audit entries, leases and names in labels are counted as they are blanked."""
    answers, hashes = _answers(whom), image_hashes(session, whom)
    others = select(TrainingData.image_hash).where(TrainingData.id.not_in(select(TrainingData.id).where(_labels(whom))))
    frozen = [removal.snapshots_of(session, part) for part in _parts(sorted(hashes))]
    counts = dict.fromkeys(KINDS, 0) | {
        "answers": _count(session, Prediction.id, answers),
        "photos": len(hashes),
        "tombstones": len({name for part in frozen for name in part} - set(session.scalars(others))),
        "labels": _count(session, TrainingData.id, _labels(whom)),
        "words": _count(session, Feedback.id, Feedback.prediction_id.in_(select(Prediction.id).where(answers))),
    }
    if isinstance(whom, Person):
        elsewhere = Feedback.prediction_id.not_in(select(Prediction.id).where(answers))
        counts["words"] += _count(session, Feedback.id, whom.wrote(Feedback), elsewhere)
        counts["uploads"] = len(uploads_of(session, whom.user_id, whom.scopes))
        counts["reviews_unnamed"] = _count(session, Review.id, whom.reviewed())
        counts["keys_unnamed"] = _count(session, ApiKey.id, whom.holds())
    return counts


def image_hashes(session: Session, whom: Whom) -> set[str]:
    """Of all photos of theirs, or of the one photo if it is anywhere still."""
    found = {
        *session.scalars(select(Prediction.image_hash).where(_answers(whom))),
        *session.scalars(select(TrainingData.image_hash).where(_labels(whom))),
    }
    if isinstance(whom, OnePhoto):
        found |= set(session.scalars(select(Photo.sha256).where(Photo.sha256.in_(whom.image_hashes))))
        found |= removal.snapshots_of(session, whom.image_hashes).keys()
    return found


def saw(session: Session, image_hashes: Collection[str]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """(the snapshots that name some of these photos: {hash, name, photos}, the models trained on one: {version, snapshot})."""
    counted: dict[str, int] = {}
    for part in _parts(sorted(image_hashes)):
        chosen = select(SnapshotPhoto.snapshot_hash, func.count()).where(SnapshotPhoto.image_hash.in_(part))
        for snapshot, count in session.execute(chosen.group_by(SnapshotPhoto.snapshot_hash)):
            counted[snapshot] = counted.get(snapshot, 0) + count
    rows = session.scalars(select(Snapshot).where(Snapshot.hash.in_(counted)).order_by(Snapshot.created_at)).all()
    snapshots = [{"hash": row.hash, "name": row.name, "photos": counted[row.hash]} for row in rows]
    return snapshots, [
        {"version": model.version, "snapshot": snapshot}
        for model in session.scalars(select(Model).order_by(Model.created_at))
        if (snapshot := str((model.manifest.get("lineage") or {}).get("snapshot"))) in counted
    ]


def uploads_of(session: Session, user_id: str, scopes: Sequence[str] | None) -> list[Upload]:
    """Uploads under way by a person. There are few: each goes with its answer, or is swept."""
    chosen = select(Upload) if scopes is None else select(Upload).where(Upload.scope.in_(scopes))
    return [row for row in session.scalars(chosen) if (row.fields or {}).get("user_id") == user_id]


def _answers(whom: Whom) -> ColumnElement[bool]:
    return whom.wrote(Prediction) if isinstance(whom, Person) else Prediction.image_hash.in_(whom.image_hashes)


def _labels(whom: Whom) -> ColumnElement[bool]:
    return whom.wrote(TrainingData) if isinstance(whom, Person) else TrainingData.image_hash.in_(whom.image_hashes)


def _has_no_answer(whom: Whom) -> ColumnElement[bool]:
    """A label whose photo's answer was deleted or is another's."""
    theirs = select(Prediction.image_hash).where(_answers(whom))
    return TrainingData.image_hash.not_in(theirs)


def _stray_photos(session: Session, whom: Whom) -> Sequence[Any]:
    """Rows of photos that no answer is about, as imports have them; a person's own are found by their labels."""
    if isinstance(whom, Person):
        return []
    of_answers = select(Prediction.photo_id).where(_answers(whom))
    chosen = select(Photo.id, Photo.sha256, Photo.stored_sha256).where(
        Photo.sha256.in_(whom.image_hashes), Photo.id.not_in(of_answers)
    )
    return session.execute(chosen.limit(BATCH)).all()


def _only_in_snapshots(session: Session, whom: Whom) -> dict[str, str]:
    """image hash -> stored hash of a photo without a tombstone yet, of which nothing but a snapshot knows."""
    if isinstance(whom, Person):
        return {}
    frozen = removal.snapshots_of(session, whom.image_hashes)
    chosen = select(SnapshotPhoto.image_hash, SnapshotPhoto.stored_sha256).where(SnapshotPhoto.image_hash.in_(frozen))
    return {row.image_hash: row.stored_sha256 for row in session.execute(chosen)}


def _hanging_on(session: Session, ids: Collection[str]) -> list[str]:
    """Ids of the rows that go with answers: the audit log may tell of them, too."""
    columns = (
        (Feedback.id, Feedback.prediction_id),
        (Review.id, Review.prediction_id),
        (ReviewItem.id, ReviewItem.prediction_id),
    )
    return [found for own, answer in columns for found in session.scalars(select(own).where(answer.in_(ids)))]


def _bury(session: Session, stored: dict[str, str], reason: str, actor: str) -> int:
    """A tombstone for each photo that a snapshot names and no label is about any more: the snapshot's claim on its bytes ends."""
    frozen = removal.snapshots_of(session, stored)
    labelled = set(session.scalars(select(TrainingData.image_hash).where(TrainingData.image_hash.in_(frozen))))
    buried = sorted(frozen.keys() - labelled)
    for image_hash in buried:
        session.add(Tombstone(image_hash=image_hash, stored_sha256=stored[image_hash], reason=reason, actor=actor))
    session.flush()
    return len(buried)


def _parts(values: list[str], size: int = 500) -> list[list[str]]:
    """In pieces that a statement takes."""
    return [values[i : i + size] for i in range(0, len(values), size)]


def _count(session: Session, column: Any, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(column)).where(*conditions)) or 0
