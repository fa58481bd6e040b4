"""The tables of what is made of it: labels, imported datasets, snapshots."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

from leafloop.storage.tables.base import Base, PlainData, new_id, now


class TrainingData(Base):
    """A label: what a photo shows, by whom it was said. One photo's bytes have one label, and earlier ones are in the audit log."""

    __tablename__ = "training_data"
    __table_args__ = (
        UniqueConstraint("image_hash"),
        CheckConstraint("strength IN ('strong', 'weak')", name="strength"),
        CheckConstraint("outcome IN ('diseased', 'healthy', 'uncertain', 'no_leaf')", name="outcome"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    photo_id: Mapped[str | None] = mapped_column(
        ForeignKey("photos.id", ondelete="SET NULL"), index=True
    )  # None: its answer was deleted, a snapshot holds it
    image_path: Mapped[str] = mapped_column(String(200), index=True)  # the kept copy's key
    image_hash: Mapped[str] = mapped_column(String(64))  # of the bytes received
    name: Mapped[str | None] = mapped_column(
        String(200)
    )  # the file's name as its sender called it: a label, never a path
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    outcome: Mapped[str | None] = mapped_column(String(16))
    class_id: Mapped[int | None] = mapped_column(Integer)
    class_name: Mapped[str | None] = mapped_column(String(64), index=True)
    strength: Mapped[str] = mapped_column(
        String(8), default="weak", server_default="weak"
    )  # strong: boxes; weak: class only
    bbox_data: Mapped[list[Any] | None] = mapped_column(PlainData)  # []: nothing is there, somebody looked; None: weak
    source: Mapped[str] = mapped_column(String(32), index=True)  # feedback, or import
    source_id: Mapped[str | None] = mapped_column(String(64), index=True)  # the review, or the import
    feedback_ids: Mapped[list[Any] | None] = mapped_column(PlainData)  # the words that it settles
    key_id: Mapped[str | None] = mapped_column(String(8))  # whose photo it is: one author's share is capped
    user_id: Mapped[str | None] = mapped_column(String(200), index=True)
    group: Mapped[str | None] = mapped_column(String(200), index=True)  # plant, plot, session, or parent photo of tiles
    may_test: Mapped[bool] = mapped_column(
        default=True, server_default=true()
    )  # False: its group is not known for sure
    quality_score: Mapped[float | None]  # 0 to 1, as it was answered
    blur_score: Mapped[float | None]  # sharpness, as it was answered
    brightness_score: Mapped[float | None]  # mean, 0 to 255
    is_validated: Mapped[bool] = mapped_column(default=False)  # only then it may be trained on
    validated_by: Mapped[str | None] = mapped_column(String(200))  # the reviewer, or the import's actor
    validated_at: Mapped[datetime | None]  # when that was
    looked_at: Mapped[datetime | None]  # when a reviewer last looked at it again: doubts before that are answered
    split_group: Mapped[str | None] = mapped_column(
        ForeignKey("split_groups.id"), index=True
    )  # since its first snapshot
    dataset_split: Mapped[str | None] = mapped_column(String(8), index=True)  # its group's side
    revision: Mapped[int] = mapped_column(
        Integer, default=1, server_default="1"
    )  # grows with each change of what it says
    added_date: Mapped[datetime] = mapped_column(default=now)  # when it was made
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", PlainData)


class Import(Base):
    """A dataset that was brought in: where from, how its classes were read, and what was found."""

    __tablename__ = "imports"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))  # what its folder or archive was called
    format: Mapped[str] = mapped_column(String(16))  # yolo, coco, labelstudio
    class_map: Mapped[dict[str, Any]]  # name there: name here
    report: Mapped[dict[str, Any]]  # what was found, repaired and left out
    photos: Mapped[int] = mapped_column(Integer)  # how many it brought
    labels: Mapped[int] = mapped_column(Integer)  # how many it made
    actor: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)


class SplitGroup(Base):
    """Photos that belong together, and the side on which they are for good. Made when a snapshot first needs it."""

    __tablename__ = "split_groups"
    __table_args__ = (
        UniqueConstraint("id", "split"),
        CheckConstraint("split IN ('train', 'val', 'test')", name="split"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # the smallest image hash of the group as it was made
    split: Mapped[str] = mapped_column(String(8))  # train, val or test
    decided_at: Mapped[datetime] = mapped_column(default=now)  # when the side was settled, for good


class Snapshot(Base):
    """A dataset that never changes. Its name is the hash of its manifest, which is an object in the store, as its parts are."""

    __tablename__ = "snapshots"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # of the manifest
    name: Mapped[str | None] = mapped_column(String(200))  # what people call it
    photos: Mapped[int] = mapped_column(Integer)  # how many it holds
    splits: Mapped[dict[str, Any]]  # how many are on each side
    options: Mapped[dict[str, Any]]  # by which it was made
    report: Mapped[dict[str, Any]]  # class balance, and what was left out and why
    parts: Mapped[list[Any]]  # keys of the manifest's parts
    actor: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)


class PhotoSide(Base):
    """The group and the side that a photo's bytes had in their first snapshot, and have in every later one. The database itself
    refuses another side than the group's, and to change or remove a row (triggers of the migration)."""

    __tablename__ = "photo_sides"
    __table_args__ = (
        UniqueConstraint("image_hash", "group_id", "split"),
        ForeignKeyConstraint(["group_id", "split"], ["split_groups.id", "split_groups.split"]),
        Index("ix_photo_sides_group_id_split", "group_id", "split"),
    )

    image_hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # of the bytes received
    group_id: Mapped[str] = mapped_column(String(64))  # what it belongs together with
    split: Mapped[str] = mapped_column(String(8))  # the side of its group


class SnapshotPhoto(Base):
    """A photo in a snapshot. The database itself refuses it in another group or on another side than it ever had."""

    __tablename__ = "snapshot_photos"
    __table_args__ = (
        ForeignKeyConstraint(
            ["image_hash", "group_id", "split"],
            ["photo_sides.image_hash", "photo_sides.group_id", "photo_sides.split"],
        ),
    )

    snapshot_hash: Mapped[str] = mapped_column(
        ForeignKey("snapshots.hash", ondelete="CASCADE"), primary_key=True
    )  # the snapshot
    image_hash: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    stored_sha256: Mapped[str] = mapped_column(String(64), index=True)
    group_id: Mapped[str] = mapped_column(String(64))  # what it belongs together with
    split: Mapped[str] = mapped_column(String(8))  # the side of its group


class Tombstone(Base):
    """A photo that was erased for good though a snapshot names it: the manifest still verifies, the bytes are gone."""

    __tablename__ = "tombstones"

    image_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    stored_sha256: Mapped[str] = mapped_column(String(64), index=True)
    reason: Mapped[str] = mapped_column(Text)  # why it was erased; it names nobody
    actor: Mapped[str] = mapped_column(String(64))
    erased_at: Mapped[datetime] = mapped_column(default=now)  # when that was
