"""Rows of snapshots, their photos and the sides of groups; and what is read of labels to make one. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from sqlalchemy import Row, Table, and_, bindparam, exists, func, insert, or_, select, text, update
from sqlalchemy.orm import Session

from leafloop.storage import named
from leafloop.storage.tables import Photo, PhotoSide, Snapshot, SnapshotPhoto, SplitGroup, Tombstone, TrainingData

SOURCES = ("feedback", "import")  # a review made it, or a dataset brought it: what a model guessed is no label
BATCH = 1_000  # rows a look
WRITE_BATCH = 5_000  # rows a statement: well within the time that one may take
_LOCK = 0x1EAF_5A95  # any number: who makes a snapshot holds it while writing its rows (PostgreSQL)

_MEANT = and_(TrainingData.is_validated, TrainingData.source.in_(SOURCES))
_CONTENT = (
    TrainingData.id, TrainingData.image_hash, TrainingData.image_path, TrainingData.name, TrainingData.width,
    TrainingData.height, TrainingData.outcome, TrainingData.class_name, TrainingData.strength, TrainingData.bbox_data,
    TrainingData.source, TrainingData.source_id, TrainingData.feedback_ids, TrainingData.key_id, TrainingData.user_id,
    TrainingData.group, TrainingData.may_test, TrainingData.blur_score, TrainingData.brightness_score,
    TrainingData.revision, TrainingData.metadata_.label("metadata"), TrainingData.split_group, _MEANT.label("meant"),
)  # fmt: skip


def labels(session: Session, *, after: str, limit: int = BATCH) -> Sequence[Row[Any]]:
    """The next labels, in order of their photos' hashes: what may be in a snapshot, and what was in one. `meant`: the former."""
    wanted = or_(_MEANT, TrainingData.split_group.is_not(None))
    chosen = select(*_CONTENT, SplitGroup.split.label("side")).outerjoin(SplitGroup)
    page = chosen.where(wanted, TrainingData.image_hash > after).order_by(TrainingData.image_hash).limit(limit)
    return session.execute(page).all()


def passed_over(session: Session) -> int:
    """How many labels nobody validated, or came from elsewhere."""
    return session.scalar(select(func.count()).select_from(TrainingData).where(~_MEANT)) or 0


def meant(session: Session) -> int:
    """How many labels may be in a snapshot as far as their source says."""
    return session.scalar(select(func.count()).select_from(TrainingData).where(_MEANT)) or 0


@dataclass(frozen=True, slots=True)
class Sent:
    """What is known of a photo by the rows of all who sent these bytes. `head`: the first bytes of its likeness."""

    agreed: bool
    head: bytes | None


def sent(session: Session, hashes: Collection[str], head: int) -> dict[str, Sent]:
    """Consent and likeness by hash of the bytes received."""
    columns = select(Photo.sha256, Photo.consent, func.substr(Photo.likeness, 1, head))
    found: dict[str, Sent] = {}
    for sha256, consent, likeness in session.execute(columns.where(Photo.sha256.in_(hashes))):
        before = found.get(sha256, Sent(False, None))
        found[sha256] = Sent(before.agreed or consent is True, before.head or likeness)
    return found


def refused(session: Session, stored_of: Mapping[str, str]) -> set[str]:
    """Those of some photos (hash received -> key of the kept copy) whose picture somebody refused, under whatever other bytes."""
    alike = or_(Photo.sha256.in_(stored_of.keys()), Photo.stored_sha256.in_(stored_of.values()))
    found = session.execute(select(Photo.sha256, Photo.stored_sha256).where(alike, Photo.consent.is_(False))).all()
    said = {key for row in found for key in row}
    return {sha256 for sha256, stored in stored_of.items() if {sha256, stored} & said}


def likenesses(session: Session, hashes: Collection[str]) -> dict[str, bytes]:
    """The whole likeness by hash of the bytes received."""
    chosen = select(Photo.sha256, Photo.likeness).where(Photo.sha256.in_(hashes), Photo.likeness.is_not(None))
    return {sha256: likeness for sha256, likeness in session.execute(chosen) if likeness is not None}


def set_likeness(session: Session, likeness_of: Mapping[str, bytes]) -> None:
    """Keep likenesses by hash of the bytes received."""
    for sha256, value in likeness_of.items():
        session.execute(update(Photo).where(Photo.sha256 == sha256).values(likeness=value))


def erased(session: Session, hashes: Collection[str]) -> set[str]:
    """Those of some photos that were erased for good."""
    return set(session.scalars(select(Tombstone.image_hash).where(Tombstone.image_hash.in_(hashes))))


def frozen(session: Session, hashes: Collection[str], stored: Collection[str]) -> Sequence[Row[str, str, str, str]]:
    """(image_hash, stored_sha256, group_id, split) of photos in snapshots that have these bytes or these kept copies."""
    columns = select(
        SnapshotPhoto.image_hash, SnapshotPhoto.stored_sha256, SnapshotPhoto.group_id, SnapshotPhoto.split
    ).distinct()
    alike = or_(SnapshotPhoto.image_hash.in_(hashes), SnapshotPhoto.stored_sha256.in_(stored))
    return session.execute(columns.where(alike)).all()


def without_label(session: Session) -> Sequence[Row[str, str, str, str]]:
    """(image_hash, stored_sha256, group_id, split) of photos in snapshots whose label was deleted, and which are still there."""
    columns = select(
        SnapshotPhoto.image_hash, SnapshotPhoto.stored_sha256, SnapshotPhoto.group_id, SnapshotPhoto.split
    ).distinct()
    labelled = exists().where(TrainingData.image_hash == SnapshotPhoto.image_hash)
    return session.execute(columns.where(~labelled, ~named.is_erased())).all()


def state(session: Session) -> tuple[int, int, int]:
    """Something that changes whenever a side is decided, a snapshot made or a photo erased."""
    counts = (select(func.count()).select_from(table).scalar_subquery() for table in (SplitGroup, Snapshot, Tombstone))
    groups, snapshots, stones = session.execute(select(*counts)).one()
    return groups, snapshots, stones


def standing(session: Session) -> Iterator[Row[str, int, str | None]]:
    """(image_hash, revision, group) of every label that may be in a snapshot, in order of hash, some at a time."""
    columns = select(TrainingData.image_hash, TrainingData.revision, TrainingData.group)
    after = ""
    while True:
        page = columns.where(_MEANT, TrainingData.image_hash > after).order_by(TrainingData.image_hash)
        rows = session.execute(page.limit(WRITE_BATCH)).all()
        if not rows:
            return
        after = rows[-1].image_hash
        yield from rows


def unwilling(session: Session, snapshot_hash: str, *, consent_required: bool) -> bool:
    """Whether somebody does not want a photo of a snapshot trained on, or was not asked where that is required."""
    of_it = select(SnapshotPhoto.image_hash).where(SnapshotPhoto.snapshot_hash == snapshot_hash)
    for same in (Photo.sha256 == SnapshotPhoto.image_hash, Photo.stored_sha256 == SnapshotPhoto.stored_sha256):
        if session.execute(of_it.join(Photo, same).where(Photo.consent.is_(False)).limit(1)).first():
            return True
    if not consent_required:
        return False
    agreed = exists().where(Photo.sha256 == SnapshotPhoto.image_hash, Photo.consent.is_(True))
    label = TrainingData.image_hash == SnapshotPhoto.image_hash
    asked = of_it.join(TrainingData, label).where(TrainingData.source != "import", ~agreed)
    return session.execute(asked.limit(1)).first() is not None


def lock(session: Session) -> None:
    """Until this transaction ends nobody else writes a snapshot, or takes away what is in one. SQLite has one writer anyway."""
    _locked(session, "pg_advisory_xact_lock")


def hold(session: Session) -> None:
    """Until this transaction ends no snapshot is written: what it takes away or refuses is in none that it does not see."""
    _locked(session, "pg_advisory_xact_lock_shared")


def _locked(session: Session, how: str) -> None:
    session.connection()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SELECT {how}(:number)"), {"number": _LOCK})


def get(session: Session, snapshot_hash: str) -> Snapshot | None:
    return session.get(Snapshot, snapshot_hash)


def photos_of(session: Session, snapshot_hash: str, hashes: Collection[str]) -> dict[str, tuple[str, str, str]]:
    """Some photos of a snapshot: image hash -> (stored_sha256, group_id, split)."""
    columns = select(SnapshotPhoto.image_hash, SnapshotPhoto.stored_sha256, SnapshotPhoto.group_id, SnapshotPhoto.split)
    of_it = columns.where(SnapshotPhoto.snapshot_hash == snapshot_hash, SnapshotPhoto.image_hash.in_(hashes))
    return {image_hash: (stored, group, split) for image_hash, stored, group, split in session.execute(of_it)}


def count_of(session: Session, snapshot_hash: str) -> int:
    """How many photos have a row in a snapshot."""
    of_it = select(func.count()).select_from(SnapshotPhoto).where(SnapshotPhoto.snapshot_hash == snapshot_hash)
    return session.scalar(of_it) or 0


def starting_with(session: Session, prefix: str, limit: int = 2) -> Sequence[str]:
    """Hashes of snapshots that begin so."""
    chosen = select(Snapshot.hash).where(Snapshot.hash.startswith(prefix, autoescape=True))
    return session.scalars(chosen.order_by(Snapshot.hash).limit(limit)).all()


def newest(session: Session, limit: int | None = None) -> Sequence[Snapshot]:
    """All snapshots, the newest first."""
    return session.scalars(select(Snapshot).order_by(Snapshot.created_at.desc(), Snapshot.hash).limit(limit)).all()


def add(
    session: Session, snapshot: Snapshot, groups: Iterable[Mapping[str, Any]], photos: Iterable[Mapping[str, Any]]
) -> None:
    """Write a snapshot with its photos, and the sides of groups that had none. Raises `IntegrityError` where a side
    is another than it was."""
    for batch in _batches(groups):
        session.execute(insert(SplitGroup), batch)
    session.add(snapshot)
    session.flush()
    for batch in _batches(photos):
        known = set(session.scalars(select(PhotoSide.image_hash).where(PhotoSide.image_hash.in_(_hashes(batch)))))
        if new := [_side_of(photo) for photo in batch if photo["image_hash"] not in known]:
            session.execute(insert(PhotoSide), new)
        session.execute(insert(SnapshotPhoto), batch)


def _hashes(photos: Iterable[Mapping[str, Any]]) -> list[str]:
    return [photo["image_hash"] for photo in photos]


def _side_of(photo: Mapping[str, Any]) -> dict[str, Any]:
    return {name: photo[name] for name in ("image_hash", "group_id", "split")}


def mirror(session: Session, places: Sequence[Mapping[str, Any]]) -> None:
    """Write `split_group` and `dataset_split` beside labels, by `label_id`, where they are not yet: for whoever reads the table."""
    table = cast(Table, TrainingData.__table__)
    wanted = table.c.id == bindparam("label_id"), table.c.split_group.is_(None)
    values: dict[str, Any] = {"split_group": bindparam("group_id"), "dataset_split": bindparam("side")}
    session.connection().execute(table.update().where(*wanted).values(**values), places)


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    rest = iter(rows)
    while batch := list(islice(rest, WRITE_BATCH)):
        yield batch
