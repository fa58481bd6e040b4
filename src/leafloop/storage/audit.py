"""Who did what, when and why: rows that are added and never changed, but for a person's name in them when the person is erased.

The oldest may be purged; the entry that tells of it says how far, so that a missing row is still noticed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
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
) -> AuditEntry:
    """Add an entry, in the transaction of what it tells of: neither is ever without the other."""
    entry = AuditEntry(actor=actor, action=action, subject=subject, reason=reason, detail=detail)
    session.add(entry)
    return entry


def happened(session: Session, *, action: str, subject: str | None) -> bool:
    """Whether an action on a subject was ever recorded."""
    wanted = select(AuditEntry.id).where(AuditEntry.action == action, AuditEntry.subject == subject).limit(1)
    return session.scalar(wanted) is not None


def latest(session: Session, limit: int = 100) -> Sequence[AuditEntry]:
    """The newest entries first."""
    return session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)).all()


def newest_of(session: Session, *, action: str, subject: str) -> AuditEntry | None:
    """The last time that an action on a subject was recorded."""
    wanted = (AuditEntry.action == action, AuditEntry.subject == subject)
    return session.scalar(select(AuditEntry).where(*wanted).order_by(AuditEntry.id.desc()).limit(1))


PURGE = "audit.purge"


def purgeable(session: Session, before: datetime) -> tuple[int, int]:
    """(the number of the last entry that is older than a moment as all before it are, how many entries that is)."""
    first_kept = session.scalar(select(func.min(AuditEntry.id)).where(AuditEntry.at >= before))
    last = session.scalar(select(func.max(AuditEntry.id))) or 0
    through = last if first_kept is None else first_kept - 1
    count = session.scalar(select(func.count()).select_from(AuditEntry).where(AuditEntry.id <= through)) or 0
    return through, count


def purge(session: Session, before: datetime, *, actor: str, limit: int) -> int:
    """Delete at most `limit` of the oldest entries, and say so in one. How many they were."""
    through, _ = purgeable(session, before)
    oldest = select(AuditEntry.id).where(AuditEntry.id <= through).order_by(AuditEntry.id).limit(limit)
    numbers = session.scalars(oldest).all()
    if not numbers:
        return 0
    session.execute(delete(AuditEntry).where(AuditEntry.id <= numbers[-1]))
    detail = {"through": numbers[-1], "entries": len(numbers), "older_than": before.isoformat()}
    record(session, actor=actor, action=PURGE, detail=detail)
    return len(numbers)


def purged_through(session: Session) -> int:
    """The number of the last entry that was purged; 0: none ever was."""
    newest = select(AuditEntry.detail).where(AuditEntry.action == PURGE).order_by(AuditEntry.id.desc()).limit(1)
    return int((session.scalar(newest) or {}).get("through", 0))


def with_objects(session: Session, actions: Collection[str]) -> list[tuple[int, list[str]]]:
    """Entries that still list objects to be removed: (number, keys)."""
    rows = session.execute(select(AuditEntry.id, AuditEntry.detail).where(AuditEntry.action.in_(actions)))
    return [(number, detail["objects"]) for number, detail in rows if detail and "objects" in detail]


def forget_objects(session: Session, number: int) -> None:
    """The objects that an entry lists are gone: their names, which are hashes of photos, need not stay either."""
    entry = session.get(AuditEntry, number)
    if entry is not None:
        entry.detail = {name: value for name, value in (entry.detail or {}).items() if name != "objects"}
