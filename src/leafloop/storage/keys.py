"""Rows of keys. What a key means is `access.py`'s."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from leafloop.storage.tables import ApiKey, now


def create(session: Session, *, id: str, role: str, label: str, secret_sha256: str) -> ApiKey:  # noqa: A002 (the column's name)
    """Add a key."""
    row = ApiKey(id=id, role=role, label=label, secret_sha256=secret_sha256)
    session.add(row)
    return row


def get(session: Session, key_id: str) -> ApiKey | None:
    """A key by its id, revoked or not."""
    return session.get(ApiKey, key_id)


def any_made(session: Session) -> bool:
    """Whether a key was ever made; a revoked one counts, so that revoking all does not open the service."""
    return session.scalar(select(ApiKey.id).limit(1)) is not None


def list_all(session: Session) -> Sequence[ApiKey]:
    """Every key, newest first."""
    return session.scalars(select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id)).all()


def revoke(session: Session, key_id: str) -> None:
    """End a key; one that is revoked keeps its first moment."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=now()))


def touch(session: Session, key_id: str) -> None:
    """Note that a key was used now."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now()))
