"""Rows of photos that come in pieces: begun, moved on, settled, removed. Knows neither the protocol nor the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from leafloop.storage.tables import Upload, UploadPiece, new_id, now


def begin(session: Session, scope: str, key: str, length: int, fields: dict[str, Any]) -> Upload:
    """The upload of this key, made if there is none yet; whether it is the same one is for the caller to compare."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    new = dialect.insert(Upload).values(
        id=new_id(), scope=scope, key=key, length=length, offset=0, fields=fields, created_at=now()
    )
    session.execute(new.on_conflict_do_nothing())
    return session.execute(select(Upload).where(Upload.scope == scope, Upload.key == key)).scalar_one()


def get(session: Session, upload_id: str) -> Upload | None:
    return session.get(Upload, upload_id)


def pieces(session: Session, upload_id: str) -> Sequence[UploadPiece]:
    """In their order."""
    chosen = select(UploadPiece).where(UploadPiece.upload_id == upload_id).order_by(UploadPiece.offset)
    return session.scalars(chosen).all()


def add_piece(session: Session, upload_id: str, offset: int, sha256: str, count: int) -> bool:
    """Note a piece whose object is safe. False: the upload stands elsewhere by now, and nothing was noted."""
    moved = session.execute(
        update(Upload)
        .where(Upload.id == upload_id, Upload.offset == offset)
        .values(offset=offset + count)
        .execution_options(synchronize_session=False)
    )
    if int(moved.rowcount) != 1:  # type: ignore[attr-defined]  # an UPDATE's result has it
        return False
    session.add(UploadPiece(upload_id=upload_id, offset=offset, sha256=sha256, bytes=count))
    return True


def take_back(session: Session, upload_id: str, offset: int) -> None:
    """Let the upload stand at a piece that is no longer whole, as if nothing had come from there on."""
    lost = (UploadPiece.upload_id == upload_id, UploadPiece.offset >= offset)
    session.execute(delete(UploadPiece).where(*lost).execution_options(synchronize_session=False))
    session.execute(
        update(Upload).where(Upload.id == upload_id).values(offset=offset).execution_options(synchronize_session=False)
    )


def settle(
    session: Session, upload_id: str, *, prediction_id: str | None = None, refusal: dict[str, Any] | None = None
) -> list[str]:
    """Note how it ended; the pieces' rows and the exact place go (the answer has a coarse one). The keys of their objects."""
    keys = _drop_pieces(session, [upload_id])
    upload = session.get(Upload, upload_id)
    if upload is not None:
        upload.prediction_id, upload.refusal = prediction_id, refusal
        upload.fields = {name: value for name, value in upload.fields.items() if name != "user_location"}
    return keys


def remove(session: Session, upload_ids: Sequence[str]) -> list[str]:
    """Delete uploads and their pieces' rows. The keys of the pieces' objects."""
    keys = _drop_pieces(session, upload_ids)
    session.execute(delete(Upload).where(Upload.id.in_(upload_ids)).execution_options(synchronize_session=False))
    return keys


def begun_before(session: Session, moment: datetime, *, limit: int) -> Sequence[str]:
    """The oldest uploads that were begun before a moment."""
    chosen = select(Upload.id).where(Upload.created_at < moment).order_by(Upload.created_at).limit(limit)
    return session.scalars(chosen).all()


def count_begun_before(session: Session, moment: datetime) -> int:
    return session.scalar(select(func.count()).select_from(Upload).where(Upload.created_at < moment)) or 0


def whole_and_unanswered(session: Session, *, limit: int) -> Sequence[Upload]:
    """Photos that came whole, and whose answer is missing: the process died, or was too busy."""
    unsettled = (Upload.prediction_id.is_(None), Upload.refusal.is_(None))
    chosen = select(Upload).where(Upload.offset == Upload.length, *unsettled).order_by(Upload.created_at).limit(limit)
    return session.scalars(chosen).all()


def _drop_pieces(session: Session, upload_ids: Sequence[str]) -> list[str]:
    mine = UploadPiece.upload_id.in_(upload_ids)
    keys = list(session.scalars(select(UploadPiece.sha256).where(mine).distinct()))
    session.execute(delete(UploadPiece).where(mine).execution_options(synchronize_session=False))
    return keys
