"""Rows of labels (`training_data`): one for a photo's bytes, listed in pages. What a label may say, `learning` knows."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from leafloop.storage import paging
from leafloop.storage.paging import Page
from leafloop.storage.tables import SnapshotPhoto, TrainingData


@dataclass(frozen=True)
class Filters:
    """What to list; None means any."""

    class_name: str | None = None
    source: str | None = None
    dataset_split: str | None = None


def get(session: Session, label_id: str, *, fresh: bool = False) -> TrainingData | None:
    """A label; `fresh`: as it is now, if it was read before in this transaction."""
    return session.get(TrainingData, label_id, populate_existing=fresh)


def of_photo(session: Session, image_hash: str) -> TrainingData | None:
    """The label of a photo's bytes."""
    return session.scalar(select(TrainingData).where(TrainingData.image_hash == image_hash))


def in_snapshot(session: Session, image_hash: str) -> str | None:
    """The hash of a snapshot that holds this photo, if one does."""
    return session.scalar(select(SnapshotPhoto.snapshot_hash).where(SnapshotPhoto.image_hash == image_hash).limit(1))


def fewer_than(session: Session, class_name: str, number: int) -> bool:
    """Whether there are fewer validated labels of a class. Never reads more than so many rows."""
    wanted = (TrainingData.class_name == class_name, TrainingData.is_validated)
    some = select(TrainingData.id).where(*wanted).limit(number).subquery()
    return (session.scalar(select(func.count()).select_from(some)) or 0) < number


def find(
    session: Session, filters: Filters, *, limit: int = 100, offset: int = 0, cursor: str | None = None
) -> Page[TrainingData]:
    """Labels, newest first. Raises `RequestInvalid` for a cursor that no list gave."""
    wanted = _conditions(filters)
    return paging.find(session, TrainingData, wanted, limit=limit, offset=offset, cursor=cursor, moment="added_date")


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    exact = {
        TrainingData.class_name: filters.class_name,
        TrainingData.source: filters.source,
        TrainingData.dataset_split: filters.dataset_split,
    }
    return [column == value for column, value in exact.items() if value is not None]
