"""The tables: typed columns, and no logic that fetches. Knows no photo's pixels and nothing of HTTP.

The older system's four (`predictions`, `feedback`, `training_data`, `model_performance`) have its columns among ours, so that its
readers go on working.
"""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always aware and always UTC in Python; SQLite, which knows no zones, keeps it as UTC without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be kept")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


PlainData = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
# SQLite counts only INTEGER keys up by itself.
Serial = BigInteger().with_variant(Integer(), "sqlite")


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random id: it says nothing of when, who or how many."""
    return str(uuid.uuid4())


class Base(DeclarativeBase):
    """Every constraint and index has a name, so that a migration can take it away again."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: PlainData, list[Any]: PlainData}  # noqa: RUF012


class Photo(Base):
    """A photo as it was sent once. Two photos of the same bytes are two rows and one object."""

    __tablename__ = "photos"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    sha256: Mapped[str] = mapped_column(String(64), index=True)  # of the bytes received
    stored_sha256: Mapped[str] = mapped_column(String(64), index=True)  # of the kept copy: its key in the object store
    media_type: Mapped[str] = mapped_column(String(32))  # of the kept copy
    format: Mapped[str] = mapped_column(String(8))  # as received
    bytes: Mapped[int] = mapped_column(Integer)  # of the kept copy
    width: Mapped[int] = mapped_column(Integer)  # upright
    height: Mapped[int] = mapped_column(Integer)
    file_name: Mapped[str | None] = mapped_column(String(200))  # a label, never a path
    group: Mapped[str | None] = mapped_column(String(200), index=True)  # plant, plot or session
    captured_at: Mapped[datetime | None]
    consent: Mapped[bool | None]  # may it be trained on? None: not asked
    created_at: Mapped[datetime] = mapped_column(default=now)


class Prediction(Base):
    """An answer, as it was said."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index("ix_predictions_timestamp_id", "timestamp", "id"),
        CheckConstraint("outcome IN ('diseased', 'healthy', 'uncertain', 'no_leaf')", name="outcome"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    photo_id: Mapped[str] = mapped_column(ForeignKey("photos.id"), index=True)
    key_id: Mapped[str | None] = mapped_column(String(8), index=True)  # whose it is; None: without a key
    user_id: Mapped[str | None] = mapped_column(String(200), index=True)  # believed only within its key
    user_location: Mapped[str | None] = mapped_column(String(200))
    source: Mapped[str] = mapped_column(String(16))  # the door: api, page, cli
    request_id: Mapped[str | None] = mapped_column(String(64))
    image_path: Mapped[str] = mapped_column(String(200))  # the kept copy's key
    image_size_kb: Mapped[float]
    image_width: Mapped[int] = mapped_column(Integer)
    image_height: Mapped[int] = mapped_column(Integer)
    image_hash: Mapped[str] = mapped_column(String(64))  # of the bytes received
    outcome: Mapped[str] = mapped_column(String(16))
    reliable: Mapped[bool]
    predicted_class_id: Mapped[int | None] = mapped_column(Integer)
    predicted_class_name: Mapped[str | None] = mapped_column(String(64), index=True)
    confidence: Mapped[float | None]
    bbox_data: Mapped[list[Any]]  # every detection of the answer
    model_version: Mapped[str] = mapped_column(String(32), index=True)
    model_name: Mapped[str] = mapped_column(String(64))
    bundle_hash: Mapped[str] = mapped_column(String(64))
    inference_time_ms: Mapped[float]
    timestamp: Mapped[datetime] = mapped_column(default=now)
    answer: Mapped[dict[str, Any]]  # the whole body, as it was sent
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", PlainData)


class Feedback(Base):
    """What a person said of an answer."""

    __tablename__ = "feedback"
    __table_args__ = (CheckConstraint("confidence_rating BETWEEN 1 AND 5", name="confidence_rating"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), index=True)
    is_correct: Mapped[bool]
    correct_class_id: Mapped[int | None] = mapped_column(Integer)
    correct_class_name: Mapped[str | None] = mapped_column(String(64))
    user_comment: Mapped[str | None] = mapped_column(Text)
    confidence_rating: Mapped[int | None] = mapped_column(Integer)
    feedback_source: Mapped[str] = mapped_column(String(16))
    timestamp: Mapped[datetime] = mapped_column(default=now, index=True)
    processed_for_training: Mapped[bool] = mapped_column(default=False)
    processed_at: Mapped[datetime | None]


class TrainingData(Base):
    """A label: what a photo shows, by whom it was said."""

    __tablename__ = "training_data"
    __table_args__ = (UniqueConstraint("image_hash"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    image_path: Mapped[str] = mapped_column(String(200))
    image_hash: Mapped[str] = mapped_column(String(64))
    class_id: Mapped[int | None] = mapped_column(Integer)
    class_name: Mapped[str | None] = mapped_column(String(64), index=True)
    bbox_data: Mapped[list[Any] | None] = mapped_column(PlainData)
    source: Mapped[str] = mapped_column(String(32), index=True)
    source_id: Mapped[str | None] = mapped_column(String(64))
    quality_score: Mapped[float | None]
    blur_score: Mapped[float | None]
    brightness_score: Mapped[float | None]
    is_validated: Mapped[bool] = mapped_column(default=False)
    validated_by: Mapped[str | None] = mapped_column(String(200))
    validated_at: Mapped[datetime | None]
    dataset_split: Mapped[str | None] = mapped_column(String(8), index=True)
    added_date: Mapped[datetime] = mapped_column(default=now)
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", PlainData)


class ModelPerformance(Base):
    """How a version did on one day."""

    __tablename__ = "model_performance"
    __table_args__ = (UniqueConstraint("model_version", "model_name", "date"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    model_version: Mapped[str] = mapped_column(String(32))
    model_name: Mapped[str] = mapped_column(String(64))
    date: Mapped[date]
    total_predictions: Mapped[int] = mapped_column(Integer, default=0)
    total_feedback: Mapped[int] = mapped_column(Integer, default=0)
    correct_predictions: Mapped[int] = mapped_column(Integer, default=0)
    incorrect_predictions: Mapped[int] = mapped_column(Integer, default=0)
    accuracy: Mapped[float | None]
    class_metrics: Mapped[dict[str, Any] | None] = mapped_column(PlainData)
    avg_confidence: Mapped[float | None]
    avg_confidence_correct: Mapped[float | None]
    avg_confidence_incorrect: Mapped[float | None]
    calculated_at: Mapped[datetime] = mapped_column(default=now)


class ApiKey(Base):
    """A key, without its secret."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(8), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    label: Mapped[str] = mapped_column(String(200), default="")
    secret_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Who did what, when and why. Rows are added, never changed."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_action_subject", "action", "subject"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str | None] = mapped_column(String(200))
    reason: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any] | None] = mapped_column(PlainData)


class Model(Base):
    """A version of the model: which bundle it is, and where it came from."""

    __tablename__ = "models"

    version: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    bundle_hash: Mapped[str] = mapped_column(String(64), unique=True)
    licence: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(200))
    manifest: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class LiveModel(Base):
    """The pointer: which version has a role now. `pointer_version` grows with each move and settles races."""

    __tablename__ = "live_models"

    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    version: Mapped[str] = mapped_column(ForeignKey("models.version"))
    previous_version: Mapped[str | None] = mapped_column(String(32))
    pointer_version: Mapped[int] = mapped_column(Integer)
    since: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text)


class IdempotencyKey(Base):
    """A client's key for one request: who works on it, then the answer."""

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(String(16), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    claim_token: Mapped[str] = mapped_column(String(64))
    claimed_at: Mapped[datetime] = mapped_column(default=now)
    prediction_id: Mapped[str | None] = mapped_column(String(36), index=True)
    status: Mapped[int | None] = mapped_column(Integer)
    answer: Mapped[dict[str, Any] | None] = mapped_column(PlainData)
    created_at: Mapped[datetime] = mapped_column(default=now)
