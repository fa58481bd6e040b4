"""What the tables say about themselves, for the audit: each function looks for one thing that must not be. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, func, select, text
from sqlalchemy.orm import Session

from leafloop.storage import audit
from leafloop.storage.tables import AuditEntry, IdempotencyKey, Photo, Prediction


def answers(session: Session) -> int:
    """How many answers there are."""
    return session.scalar(select(func.count()).select_from(Prediction)) or 0


def answers_without_photo(session: Session) -> Sequence[str]:
    """Ids of answers whose photo has no row."""
    return session.scalars(select(Prediction.id).where(~exists().where(Photo.id == Prediction.photo_id))).all()


def answers_about(session: Session, key: str) -> Sequence[str]:
    """Ids of the answers whose photo is kept under this key."""
    chosen = select(Prediction.id).join(Photo, Photo.id == Prediction.photo_id).where(Photo.stored_sha256 == key)
    return session.scalars(chosen).all()


def photo_objects(session: Session) -> int:
    """How many objects photos name."""
    return session.scalar(select(func.count(Photo.stored_sha256.distinct()))) or 0


def keys_without_answer(session: Session) -> Sequence[str]:
    """Idempotency-Keys that hold the answer of a prediction that is not there."""
    gone = ~exists().where(Prediction.id == IdempotencyKey.prediction_id)
    return session.scalars(select(IdempotencyKey.key).where(IdempotencyKey.answer.is_not(None), gone)).all()


def keys_claimed_before(session: Session, moment: datetime) -> Sequence[str]:
    """Idempotency-Keys that somebody has been working on since before `moment`."""
    claimed = select(IdempotencyKey.key).where(IdempotencyKey.answer.is_(None), IdempotencyKey.claimed_at < moment)
    return session.scalars(claimed).all()


def faults_of_the_file(session: Session) -> list[str] | None:
    """What SQLite finds wrong in its own file, and rows that name others which are not there. None: a server sees to it itself."""
    if session.get_bind().dialect.name != "sqlite":
        return None
    pages = [str(row[0]) for row in session.execute(text("PRAGMA integrity_check")) if row[0] != "ok"]
    strays = session.execute(text("PRAGMA foreign_key_check")).all()
    return [*pages, *(f"row {row[1]} of {row[0]} names a row of {row[2]} that is not there" for row in strays)]


def audit_entries(session: Session) -> tuple[int, int | None]:
    """How many entries the audit log has, and how many were taken out of it by other means than a purge, which says how far.

    SQLite numbers without gaps; on PostgreSQL a transaction that was rolled back leaves one, so there it cannot be said: None.
    """
    count, last = session.execute(select(func.count(), func.max(AuditEntry.id)).select_from(AuditEntry)).one()
    sqlite = session.get_bind().dialect.name == "sqlite"
    return count, (last or 0) - audit.purged_through(session) - count if sqlite else None
