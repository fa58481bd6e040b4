"""The tables of models and of how they do."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from leafloop.storage.tables.base import Base, PlainData, new_id, now


class Model(Base):
    """A version of the model: which bundle it is, and where it came from."""

    __tablename__ = "models"

    version: Mapped[str] = mapped_column(String(32), primary_key=True)  # "1", "2", ... in the order of registration
    name: Mapped[str] = mapped_column(String(64))  # what its bundle calls it
    bundle_hash: Mapped[str] = mapped_column(String(64), unique=True)  # of its manifest, which is an object
    licence: Mapped[str] = mapped_column(String(64))  # of its weights
    source: Mapped[str] = mapped_column(String(200))  # where it came from: bundled, a file, a run
    manifest: Mapped[dict[str, Any]]  # a copy of the bundle's own
    created_at: Mapped[datetime] = mapped_column(default=now)


class LiveModel(Base):
    """The pointer: which version has a role now. `pointer_version` grows with each move and settles races."""

    __tablename__ = "live_models"

    role: Mapped[str] = mapped_column(String(16), primary_key=True)  # champion, ...
    version: Mapped[str] = mapped_column(ForeignKey("models.version"))  # who has it
    previous_version: Mapped[str | None] = mapped_column(String(32))  # who had it before
    pointer_version: Mapped[int] = mapped_column(Integer)  # grows with each move
    since: Mapped[datetime] = mapped_column(default=now)  # when it was moved
    actor: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text)  # why it was moved


class ModelPerformance(Base):
    """How a version did on one day."""

    __tablename__ = "model_performance"
    __table_args__ = (UniqueConstraint("model_version", "model_name", "date"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    model_version: Mapped[str] = mapped_column(String(32))
    model_name: Mapped[str] = mapped_column(String(64))
    date: Mapped[date]  # of the answers, in UTC
    total_predictions: Mapped[int] = mapped_column(Integer, default=0)  # answers of that day
    total_feedback: Mapped[int] = mapped_column(Integer, default=0)  # of these, with a word
    correct_predictions: Mapped[int] = mapped_column(Integer, default=0)  # of these, called right
    incorrect_predictions: Mapped[int] = mapped_column(Integer, default=0)  # of these, called wrong
    accuracy: Mapped[float | None]  # right among those judged
    class_metrics: Mapped[dict[str, Any] | None] = mapped_column(PlainData)  # the same by class
    avg_confidence: Mapped[float | None]  # of all answers
    avg_confidence_correct: Mapped[float | None]  # of those called right
    avg_confidence_incorrect: Mapped[float | None]  # of those called wrong
    calculated_at: Mapped[datetime] = mapped_column(default=now)  # when it was reckoned
