"""Rows of photos and their answers: written together, listed, deleted together."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from leafloop.errors import RequestInvalid
from leafloop.storage import removal, snapshots
from leafloop.storage.removal import Deletion
from leafloop.storage.tables import Photo, Prediction


@dataclass(frozen=True)
class Filters:
    """What to list; None means any. `key_id` narrows to one key's own; `keyless` to what was sent without a key."""

    user_id: str | None = None
    predicted_class_name: str | None = None
    model_version: str | None = None
    key_id: str | None = None
    keyless: bool = False


@dataclass(frozen=True)
class Page:
    """A part of a list. `next_cursor` leads on, also when rows come in meanwhile; None: this is the end."""

    total: int
    items: Sequence[Prediction]
    next_cursor: str | None


def record_answer(session: Session, photo: Photo, prediction: Prediction) -> None:
    """Write a photo's row and its answer's row."""
    session.add(photo)
    session.flush()
    session.add(prediction)
    session.flush()


def get(session: Session, prediction_id: str) -> Prediction | None:
    """An answer."""
    return session.get(Prediction, prediction_id)


def photo_of(session: Session, prediction: Prediction) -> Photo:
    """The photo that an answer is about."""
    return session.execute(select(Photo).where(Photo.id == prediction.photo_id)).scalar_one()


def find(session: Session, filters: Filters, *, limit: int = 100, offset: int = 0, cursor: str | None = None) -> Page:
    """Answers, newest first. With a `cursor` from an earlier page `offset` is not looked at. Raises `RequestInvalid`."""
    wanted = _conditions(filters)
    total = session.scalar(select(func.count()).select_from(Prediction).where(*wanted)) or 0
    chosen = select(Prediction).where(*wanted)
    chosen = chosen.where(_older_than(*_read_cursor(cursor))) if cursor else chosen.offset(offset)
    newest_first = chosen.order_by(Prediction.timestamp.desc(), Prediction.id.desc()).limit(limit + 1)
    found = session.scalars(newest_first).all()
    items = found[:limit]
    return Page(total, items, _write_cursor(items[-1]) if len(found) > limit else None)


def of_photo(session: Session, image_hash: str) -> Sequence[Prediction]:
    """The answers of a photo's bytes, however often they were sent."""
    return session.scalars(select(Prediction).where(Prediction.image_hash == image_hash)).all()


def delete(session: Session, prediction_id: str) -> Deletion | None:
    """Delete an answer with its photo and all that hangs on it. None: it is not there.

    What a frozen snapshot holds stays, and so does its label, which is no longer valid: it goes into no new snapshot. The objects
    go after the commit, by `live.erasing`: one without a row does no harm, a row without its object does.
    """
    snapshots.hold(session)
    prediction = get(session, prediction_id)
    if prediction is None:
        return None
    photo = photo_of(session, prediction)
    frozen = tuple(removal.snapshots_of(session, [prediction.image_hash]).get(prediction.image_hash, ()))
    record = removal.content_of(session, prediction)
    labels = removal.labels_made_from(session, prediction, photo)
    for label in labels:
        if frozen:
            label.is_validated, label.revision = False, label.revision + 1
        else:
            session.delete(label)
    session.flush()
    objects = removal.unnamed(session, removal.remove_answers(session, [prediction_id]))
    stays = removal.what_stays(session, photo, prediction.key_id, frozen, has_label=bool(labels))
    return Deletion(objects, stays, {**record, "labels": [removal.said_by_label(label) for label in labels]})


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    exact = {
        Prediction.user_id: filters.user_id,
        Prediction.predicted_class_name: filters.predicted_class_name,
        Prediction.model_version: filters.model_version,
        Prediction.key_id: filters.key_id,
    }
    wanted = [column == value for column, value in exact.items() if value is not None]
    return [*wanted, Prediction.key_id.is_(None)] if filters.keyless else wanted


def _older_than(moment: datetime, prediction_id: str) -> ColumnElement[bool]:
    same_moment = and_(Prediction.timestamp == moment, Prediction.id < prediction_id)
    return or_(Prediction.timestamp < moment, same_moment)


def _write_cursor(last: Prediction) -> str:
    return base64.urlsafe_b64encode(f"{last.timestamp.isoformat()} {last.id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        text, prediction_id = base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii").split(" ")
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment, prediction_id
    except (ValueError, binascii.Error):
        raise RequestInvalid("cursor is not one that a list gave. Begin again without it.", field="cursor") from None
