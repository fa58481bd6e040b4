"""Rows of imports and the labels that they bring: what is here already, and writing many at once. Knows no dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from leafloop.storage import named
from leafloop.storage.tables import Import, Photo, TrainingData

T = TypeVar("T")
BATCH = (
    500  # rows in one statement: under every database's limit on parameters, and under PostgreSQL's 5 s for a statement
)
MOST_HELD = 2000  # locks for single objects: PostgreSQL has room for 6,400 in all


def labels_of_objects(session: Session, keys: Iterable[str]) -> dict[str, TrainingData]:
    """The labels of these kept copies: key of the object -> label. Two uploads of one picture may differ in what was cut out."""
    found: dict[str, TrainingData] = {}
    for batch in batches(keys):
        for label in session.scalars(select(TrainingData).where(TrainingData.image_path.in_(batch))):
            found.setdefault(label.image_path, label)
    return found


def labels_of_bytes(session: Session, hashes: Iterable[str]) -> dict[str, TrainingData]:
    """The labels of these bytes as they were received: hash -> label."""
    found: dict[str, TrainingData] = {}
    for batch in batches(hashes):
        rows = session.scalars(select(TrainingData).where(TrainingData.image_hash.in_(batch)))
        found |= {label.image_hash: label for label in rows}
    return found


def refused(session: Session, keys: Iterable[str]) -> set[str]:
    """Those of these objects whose sender does not want them trained on."""
    found: set[str] = set()
    for batch in batches(keys):
        wanted = select(Photo.stored_sha256).where(Photo.stored_sha256.in_(batch), Photo.consent.is_(False))
        found |= set(session.scalars(wanted))
    return found


def hold_objects(session: Session, keys: Iterable[str]) -> None:
    """Until this transaction ends, nobody removes any of these objects (see `named.hold`).

    Of very many no single one is held: whoever removes an object looks at the photos' rows first, and has to wait for them.
    """
    wanted = sorted(set(keys))
    if session.get_bind().dialect.name == "postgresql" and len(wanted) > MOST_HELD:
        session.execute(text("LOCK TABLE photos IN ACCESS EXCLUSIVE MODE"))
        return
    for key in wanted:  # in order, so that two imports never wait for each other
        named.hold(session, key)


def add(session: Session, row: Import, photos: Iterable[dict[str, Any]], labels: Iterable[dict[str, Any]]) -> None:
    """Write an import with all its photos and labels, in the caller's transaction. Some hundred are in memory at a time."""
    session.add(row)
    session.flush()
    for batch in batches(photos):
        session.execute(insert(Photo), batch)
    for batch in batches(labels):
        session.execute(insert(TrainingData), batch)


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Some hundred at a time."""
    rest = iter(values)
    while batch := list(islice(rest, BATCH)):
        yield batch
