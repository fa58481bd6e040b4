"""What a snapshot's name vouches for is looked at; what the ledger says of it is compared, and never believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from tests.learning.labelled import Labelled, labelled

from leafloop.learning.snapshots import verification
from leafloop.storage import snapshots
from leafloop.storage.tables import Snapshot, SnapshotPhoto


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Labelled]:
    """Forty photos with their objects, in one snapshot."""
    opened = labelled(f"sqlite:///{tmp_path / 'l.db'}", tmp_path)
    for n in range(40):
        opened.add(f"p{n}", 1 + n % 3, stored=opened.blobs.put(f"photo {n}".encode()))
    opened.make()
    yield opened
    opened.ledger.close()


def faults(place: Labelled) -> list[tuple[str, str]]:
    with place.ledger.reading() as session:
        which = list(snapshots.newest(session))
    found = verification.verify(place.ledger, place.blobs, which)
    assert found.photos == 40
    return sorted({(fault.what, fault.fault) for fault in found.faults})


def change(place: Labelled, **values: object) -> None:
    with place.ledger.transaction() as session:
        session.execute(update(Snapshot).values(**values))


def test_a_sound_snapshot_has_no_fault(field: Labelled) -> None:
    assert faults(field) == []


@pytest.mark.parametrize(
    ("name", "value"), [("parts", []), ("photos", 7), ("splits", {"train": 1, "val": 2, "test": 3}), ("options", {})]
)
def test_a_row_that_says_something_else_than_the_manifest_is_a_fault_and_all_photos_are_read(
    field: Labelled, name: str, value: object
) -> None:
    change(field, **{name: value})
    assert faults(field) == [("row", f"its {name} are not the manifest's")]


def test_photos_whose_rows_are_gone_or_of_another_kept_copy_are_faults(field: Labelled) -> None:
    with field.ledger.transaction() as session:
        session.execute(delete(SnapshotPhoto).where(SnapshotPhoto.split == "val"))
        session.execute(update(SnapshotPhoto).where(SnapshotPhoto.split == "test").values(stored_sha256="0" * 64))
    assert faults(field) == [("photo row", "differs"), ("photo row", "missing")]


def test_a_row_of_a_photo_that_the_manifest_does_not_name_is_a_fault(field: Labelled) -> None:
    more = field.add("later", stored=field.blobs.put(b"later"))
    old = field.make(dry_run=True)
    assert old.photos == 41
    with field.ledger.transaction() as session:
        (first,) = snapshots.newest(session)
        photo = {"image_hash": more, "stored_sha256": "0" * 64, "group_id": more, "split": "train"}
        another = Snapshot(
            hash="0" * 64, photos=1, splits={}, options={}, report={}, parts=[], actor="x", created_at=first.created_at
        )
        snapshots.add(session, another, [{"id": more, "split": "train"}], [{"snapshot_hash": first.hash, **photo}])
        session.flush()
        session.delete(another)
    assert faults(field) == [("row", "41 photos have a row, and the manifest names 40")]


def test_where_the_manifest_is_lost_the_row_names_the_parts(field: Labelled) -> None:
    with field.ledger.reading() as session:
        (row,) = snapshots.newest(session)
    field.blobs.delete(row.hash)
    assert faults(field) == [("manifest", "missing")]
