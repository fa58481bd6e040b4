"""Rows of photos and their answers: written together, listed, deleted together."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from leafloop.errors import RequestInvalid
from leafloop.storage.tables import IdempotencyKey, Photo, Prediction


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


def delete(session: Session, prediction_id: str) -> list[str] | None:
    """Delete an answer with its photo and what hangs on it. The keys of objects that nothing needs any more; None: not there.

    The objects go after the commit, by `live.erasing`: one without a row does no harm, a row without its object does.
    """
    prediction = get(session, prediction_id)
    if prediction is None:
        return None
    photo = photo_of(session, prediction)
    session.execute(delete_from(IdempotencyKey).where(IdempotencyKey.prediction_id == prediction_id))
    session.delete(prediction)
    session.flush()
    if session.scalar(select(Prediction.id).where(Prediction.photo_id == photo.id).limit(1)) is None:
        session.delete(photo)
        session.flush()
    return [] if is_needed(session, photo.stored_sha256) else [photo.stored_sha256]


def is_needed(session: Session, stored_sha256: str) -> bool:
    """Whether a photo's row names this object."""
    return session.scalar(select(Photo.id).where(Photo.stored_sha256 == stored_sha256).limit(1)) is not None


def hold_object(session: Session, stored_sha256: str) -> None:
    """Until this transaction ends, nobody else who holds this object writes a row that names it, or removes it.

    On SQLite a writing transaction holds everything, from the moment when it has its connection.
    """
    session.connection()
    if session.get_bind().dialect.name == "postgresql":
        number = int.from_bytes(bytes.fromhex(stored_sha256[:16]), "big", signed=True)
        session.execute(select(func.pg_advisory_xact_lock(number)))


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
