"""Which objects the rows name, and holding one while that is decided. Knows no store.

A photo's kept copy, a bundle's manifest and its files, a snapshot's manifest and its parts, and the pieces of an upload are
objects; one object may have several names. A tombstone takes a snapshot's name off a photo.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Text, cast, exists, func, or_, select
from sqlalchemy.orm import Session

from leafloop.storage.tables import Model, Photo, Snapshot, SnapshotPhoto, Tombstone, TrainingData, UploadPiece

FEW = 4  # keys that are looked for in the lists of parts; for more all lists are read once


def hold(session: Session, key: str) -> None:
    """Until this transaction ends, nobody else who holds this object writes a row that names it, or removes it.

    On SQLite a writing transaction holds everything, from the moment when it has its connection.
    """
    session.connection()
    if session.get_bind().dialect.name == "postgresql":
        number = int.from_bytes(bytes.fromhex(key[:16]), "big", signed=True)
        session.execute(select(func.pg_advisory_xact_lock(number)))


def is_named(session: Session, key: str) -> bool:
    """Whether a row names this object."""
    return bool(among(session, [key]))


def among(session: Session, keys: Collection[str]) -> set[str]:
    """Those of some hundred keys that a row names."""
    named = (
        select(Photo.stored_sha256).where(Photo.stored_sha256.in_(keys)),
        select(TrainingData.image_path).where(TrainingData.image_path.in_(keys)),
        select(UploadPiece.sha256).where(UploadPiece.sha256.in_(keys)),
        select(SnapshotPhoto.stored_sha256).where(SnapshotPhoto.stored_sha256.in_(keys), ~is_erased()),
    )
    by_rows = {key for chosen in named for key in session.scalars(chosen)}
    return by_rows | _manifests(session, keys) | (of_models(session) & set(keys))


def is_erased() -> ColumnElement[bool]:
    """Whether a snapshot's photo was erased for good: the snapshot no longer needs its bytes."""
    return exists().where(Tombstone.image_hash == SnapshotPhoto.image_hash)


def _manifests(session: Session, keys: Collection[str]) -> set[str]:
    """Those of the keys that are a snapshot's manifest or a part of one."""
    chosen = select(Snapshot.hash, Snapshot.parts)
    if len(keys) <= FEW:
        written = cast(Snapshot.parts, Text)
        chosen = chosen.where(or_(Snapshot.hash.in_(keys), *(written.contains(key, autoescape=True) for key in keys)))
    return {key for row in session.execute(chosen) for key in (row.hash, *row.parts)} & set(keys)


def by_photos(session: Session, *, after: str, limit: int) -> list[str]:
    """The next keys that photos name, in order."""
    chosen = select(Photo.stored_sha256).where(Photo.stored_sha256 > after).distinct()
    return list(session.scalars(chosen.order_by(Photo.stored_sha256).limit(limit)))


def by_labels(session: Session, *, after: str, limit: int) -> list[str]:
    """The next keys that labels name and no photo's row does, in order."""
    alone = ~exists().where(Photo.stored_sha256 == TrainingData.image_path)
    chosen = select(TrainingData.image_path).where(TrainingData.image_path > after, alone).distinct()
    return list(session.scalars(chosen.order_by(TrainingData.image_path).limit(limit)))


def by_snapshots(session: Session, *, after: str, limit: int) -> list[str]:
    """The next keys that only photos of snapshots name, in order; not those that were erased."""
    column = SnapshotPhoto.stored_sha256
    alone = ~exists().where(Photo.stored_sha256 == column), ~exists().where(TrainingData.image_path == column)
    chosen = select(column).where(column > after, ~is_erased(), *alone).distinct()
    return list(session.scalars(chosen.order_by(column).limit(limit)))


def of_models(session: Session) -> set[str]:
    """Every key that a model's bundle consists of."""
    return {key for model in session.scalars(select(Model)) for key in of_model(model)}


def of_model(model: Model) -> dict[str, str]:
    """The objects of one bundle: key -> what it is."""
    files: dict[str, dict[str, str]] = model.manifest.get("files", {})
    return {model.bundle_hash: "manifest.json", **{facts["sha256"]: name for name, facts in files.items()}}
