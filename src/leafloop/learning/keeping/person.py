"""All that is kept about a person, as plain data that they can be given. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import inspect, or_, select
from sqlalchemy.orm import Session

from leafloop.learning.keeping import erasure, scrubbing
from leafloop.learning.keeping.erasure import OPEN, Person
from leafloop.storage.tables import ApiKey, AuditEntry, Base, Feedback, Photo, Prediction, Review, TrainingData, now

FORMAT = "leafloop.person/1"
# Bytes that say nothing to anybody but a search for look-alikes; what a key is checked against.
_NOT_TOLD = frozenset({"likeness", "secret_sha256"})
AUDIT_PART = 500  # ids in one statement


@dataclass(frozen=True)
class KeptPhoto:
    """A photo of theirs: its name by the bytes received, its key in the object store, its type, and where the service gives it."""

    image_hash: str
    stored_sha256: str
    media_type: str | None
    url: str | None


def document(session: Session, whom: Person) -> dict[str, Any]:
    """Everything, by kind. Photos are named by hash; `photos[].url` is where their own key gets them."""
    answers = session.scalars(select(Prediction).where(whom.wrote(Prediction)).order_by(Prediction.timestamp)).all()
    words = session.scalars(select(Feedback).where(whom.wrote(Feedback)).order_by(Feedback.timestamp)).all()
    labels = session.scalars(
        select(TrainingData).where(whom.wrote(TrainingData)).order_by(TrainingData.added_date)
    ).all()
    reviews = session.scalars(select(Review).where(whom.reviewed()).order_by(Review.created_at)).all()
    ids = [row.id for rows in (answers, words, labels, reviews) for row in rows]
    snapshots, models = erasure.saw(session, erasure.image_hashes(session, whom))
    return {
        "format": FORMAT,
        "written_at": now().isoformat(),
        "user_id": whom.user_id,
        "keys": [key or OPEN for key in whom.keys],
        "api_keys": [plain(row) for row in session.scalars(select(ApiKey).where(whom.holds()))],
        "photos": [
            {"image_hash": photo.image_hash, "media_type": photo.media_type, "url": photo.url}
            for photo in photos(session, whom)
        ],
        "predictions": [plain(row) for row in answers],
        "feedback": [plain(row) for row in words],
        "labels": [plain(row) for row in labels],
        "reviews": [plain(row) for row in reviews],
        "uploads": [plain(row) for row in erasure.uploads_of(session, whom.user_id, whom.scopes)],
        "audit": [plain(row) for row in _audit(session, whom, ids)],
        "snapshots": snapshots,
        "models": models,
    }


def photos(session: Session, whom: Person) -> Iterator[KeptPhoto]:
    """Each photo once: of their answers, and of labels whose answer is gone."""
    seen: set[str] = set()
    of_answers = select(Prediction.id, Photo).join(Photo, Photo.id == Prediction.photo_id).where(whom.wrote(Prediction))
    for prediction_id, photo in session.execute(of_answers.order_by(Prediction.timestamp)):
        if photo.sha256 not in seen:
            seen.add(photo.sha256)
            url = f"/api/v1/db/predictions/{prediction_id}/photo"
            yield KeptPhoto(photo.sha256, photo.stored_sha256, photo.media_type, url)
    for label in session.scalars(select(TrainingData).where(whom.wrote(TrainingData))):
        if label.image_hash not in seen:
            seen.add(label.image_hash)
            yield KeptPhoto(label.image_hash, label.image_path, None, None)


def plain(row: Base) -> dict[str, Any]:
    """A row by its columns' names, in JSON's own types."""
    columns = inspect(type(row)).column_attrs
    return {
        attribute.columns[0].name: _PLAIN.get(type(value), _same)(value)
        for attribute in columns
        if attribute.key not in _NOT_TOLD
        for value in (getattr(row, attribute.key),)
    }


def _same(value: Any) -> Any:
    return value


_PLAIN: dict[type, Callable[[Any], Any]] = {datetime: lambda moment: moment.isoformat()}


def _audit(session: Session, whom: Person, ids: list[str]) -> list[AuditEntry]:
    """Entries that tell of their rows, or name them."""
    actions = select(AuditEntry.action).distinct()  # few, and the index begins with them
    by_name = or_(scrubbing.names_person(whom.user_id, whom.keys), scrubbing.labels_key(whom.user_id, whom.keys))
    found = {entry.id: entry for entry in session.scalars(select(AuditEntry).where(by_name))}
    ids = [*ids, *{told for entry in found.values() for told in scrubbing.told_of(entry)}.difference(ids)]
    for begin in range(0, len(ids), AUDIT_PART):
        of_rows = AuditEntry.action.in_(actions), AuditEntry.subject.in_(ids[begin : begin + AUDIT_PART])
        found |= {entry.id: entry for entry in session.scalars(select(AuditEntry).where(*of_rows))}
    return [found[number] for number in sorted(found)]
