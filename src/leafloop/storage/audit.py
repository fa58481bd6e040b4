"""Who did what, when and why: rows that are added and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from leafloop.storage.tables import AuditEntry


def record(
    session: Session,
    *,
    actor: str,
    action: str,
    subject: str | None = None,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add an entry, in the transaction of what it tells of: neither is ever without the other."""
    session.add(AuditEntry(actor=actor, action=action, subject=subject, reason=reason, detail=detail))


def happened(session: Session, *, action: str, subject: str | None) -> bool:
    """Whether an action on a subject was ever recorded."""
    wanted = select(AuditEntry.id).where(AuditEntry.action == action, AuditEntry.subject == subject).limit(1)
    return session.scalar(wanted) is not None


def latest(session: Session, limit: int = 100) -> Sequence[AuditEntry]:
    """The newest entries first."""
    return session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)).all()
