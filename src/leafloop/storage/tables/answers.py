"""The tables of what is answered: photos, answers, and what a sender may send again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from leafloop.storage.tables.base import Base, Octets, PlainData, new_id, now


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
    captured_at: Mapped[datetime | None]  # as its sender said it
    consent: Mapped[bool | None]  # may it be trained on? None: not asked
    likeness: Mapped[Octets | None] = mapped_column(
        LargeBinary
    )  # perceptual hashes (vision.likeness); None: not computed
    created_at: Mapped[datetime] = mapped_column(default=now)


class Prediction(Base):
    """An answer, as it was said."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index("ix_predictions_timestamp_id", "timestamp", "id"),
        CheckConstraint("outcome IN ('diseased', 'healthy', 'uncertain', 'no_leaf')", name="outcome"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    photo_id: Mapped[str] = mapped_column(ForeignKey("photos.id"), index=True)  # what it is about
    key_id: Mapped[str | None] = mapped_column(String(8), index=True)  # whose it is; None: without a key
    user_id: Mapped[str | None] = mapped_column(String(200), index=True)  # believed only within its key
    user_location: Mapped[str | None] = mapped_column(String(200))  # as its sender said it; a position is rounded
    source: Mapped[str] = mapped_column(String(16))  # the door: api, page, cli
    request_id: Mapped[str | None] = mapped_column(String(64))  # of the request, for the log
    image_path: Mapped[str] = mapped_column(String(200))  # the kept copy's key
    image_size_kb: Mapped[float]  # of the file as received
    image_width: Mapped[int] = mapped_column(Integer)  # in pixels, upright
    image_height: Mapped[int] = mapped_column(Integer)  # in pixels, upright
    image_hash: Mapped[str] = mapped_column(String(64))  # of the bytes received
    outcome: Mapped[str] = mapped_column(String(16))
    reliable: Mapped[bool]  # whether the confidence reaches the model's own bar
    predicted_class_id: Mapped[int | None] = mapped_column(Integer)  # None: uncertain, or no leaf
    predicted_class_name: Mapped[str | None] = mapped_column(String(64), index=True)  # the name of that class
    confidence: Mapped[float | None]  # 0 to 1
    bbox_data: Mapped[list[Any]]  # every detection of the answer
    model_version: Mapped[str] = mapped_column(String(32), index=True)
    model_name: Mapped[str] = mapped_column(String(64))
    bundle_hash: Mapped[str] = mapped_column(String(64))  # of the model's bundle
    inference_time_ms: Mapped[float]  # in the model alone
    timestamp: Mapped[datetime] = mapped_column(default=now)  # when it was said
    answer: Mapped[dict[str, Any]]  # the whole body, as it was sent
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", PlainData)


class IdempotencyKey(Base):
    """A client's key for one request: who works on it, then the answer."""

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(String(16), primary_key=True)  # whose it is: a key's id, or open
    key: Mapped[str] = mapped_column(String(255), primary_key=True)  # as the client sent it
    fingerprint: Mapped[str] = mapped_column(String(64))  # of the request: another one under the same key is refused
    claim_token: Mapped[str] = mapped_column(String(64))  # of the one that is at work on it
    claimed_at: Mapped[datetime] = mapped_column(default=now)  # when that began
    prediction_id: Mapped[str | None] = mapped_column(String(36), index=True)
    status: Mapped[int | None] = mapped_column(Integer)  # of the answer, once there is one
    answer: Mapped[dict[str, Any] | None] = mapped_column(PlainData)  # the body, to be said again
    created_at: Mapped[datetime] = mapped_column(default=now)


class Upload(Base):
    """A photo that comes in pieces, over a line that breaks (tus.io, protocol 1.0)."""

    __tablename__ = "uploads"
    __table_args__ = (UniqueConstraint("scope", "key"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    scope: Mapped[str] = mapped_column(String(16))  # whose it is, as of an Idempotency-Key
    key: Mapped[str] = mapped_column(String(255))  # its Idempotency-Key: made twice, it is one upload
    length: Mapped[int] = mapped_column(Integer)  # bytes in all
    offset: Mapped[int] = mapped_column(Integer, default=0)  # bytes that are safe
    fields: Mapped[dict[str, Any]]  # what is said with the photo
    prediction_id: Mapped[str | None] = mapped_column(String(36))
    refusal: Mapped[dict[str, Any] | None] = mapped_column(
        PlainData
    )  # {code, detail} of a photo that is refused for good
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class UploadPiece(Base):
    """One piece, an object in the store until the photo is whole and answered."""

    __tablename__ = "upload_pieces"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)  # the upload
    offset: Mapped[int] = mapped_column(Integer, primary_key=True)  # where in the photo it begins
    sha256: Mapped[str] = mapped_column(String(64), index=True)  # of the piece: its key in the object store
    bytes: Mapped[int] = mapped_column(Integer)  # how many
