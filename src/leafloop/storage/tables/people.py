"""The tables of who may do what, and of what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from leafloop.storage.tables.base import Base, PlainData, Serial, now


class ApiKey(Base):
    """A key, without its secret."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(8), primary_key=True)  # its public half, as in lf_ID_SECRET
    role: Mapped[str] = mapped_column(String(16))  # what it allows: field, reviewer, engineer, operator
    label: Mapped[str] = mapped_column(String(200), default="")  # what people call it
    secret_sha256: Mapped[str] = mapped_column(String(64))  # its secret is kept nowhere
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime | None]  # to the minute or so
    revoked_at: Mapped[datetime | None]  # when it ended


class AuditEntry(Base):
    """Who did what, when and why. Rows are added, never changed, but for the name of a person who is erased."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_action_subject", "action", "subject"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)  # counts up: a gap is noticed
    at: Mapped[datetime] = mapped_column(default=now)  # when
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))  # what was done
    subject: Mapped[str | None] = mapped_column(String(200))  # to what
    reason: Mapped[str | None] = mapped_column(Text)  # why, where one was asked for
    detail: Mapped[dict[str, Any] | None] = mapped_column(PlainData)  # before and after, or what belongs to it
